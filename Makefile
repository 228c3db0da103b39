# `make train` and `make test` set up what they need in .venv and run. Everything here is a short
# name for plain pip and python commands; README.md gives those.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
comma := ,

BIN := $(VENV)/bin
SOURCES := $(shell find cpp python CMakeLists.txt pyproject.toml -type f \
             -not -path '*/__pycache__/*' -not -name '*.pyc')
CPP := $(shell find cpp tests/cpp bench/native -name '*.[ch]pp' -o -name '*.cu' -o -name '*.cuh' -o -name '*.h')
# An unset WERROR leaves compiler warnings as warnings.
# scikit-build-core reads the variable; pip has had an option for it only since version 22.1.
ifdef WERROR
export SKBUILD_CMAKE_DEFINE := ELULAYER_WERROR=ON
endif

.PHONY: help train test test-clang test-doors test-mpi test-sanitized portability accuracy bench bench-compilers bench-native bench-parallel bench-training compare docs test-docs wheel lint format clean

help:
	@echo "make train            install into $(VENV) and run the blog's training run"
	@echo "make test             install into $(VENV) and run the tests"
	@echo "make test-clang       the package built with clang, and the tests of the functions on arrays"
	@echo "make test-sanitized   the same with the address and undefined-behaviour sanitizers of g++"
	@echo "make portability      the native library with other compilers and for other systems"
	@echo "make accuracy         the error of all 2^32 float32 inputs (about five minutes)"
	@echo "make bench            native benchmarks, and the functions beside their peers (installs those)"
	@echo "make bench-compilers  the kernels as g++ and clang compile them, in turn"
	@echo "make bench-training   the training run beside torch (installs torch)"
	@echo "make compare          networks that differ in one thing, trained and compared: docs/compare.md"
	@echo "make test-doors       installs PyTorch, JAX and ONNX Runtime, and runs the tests with them"
	@echo "make test-mpi         installs two MPIs, and runs the tests that start processes with each"
	@echo "make bench-parallel   an iteration on one rank and on several, by MPI"
	@echo "make wheel            the source distribution and this machine's wheel, built, compared and tested: dist"
	@echo "make docs             the documentation as a site: build/docs/html/index.html"
	@echo "make test-docs        the same, and its tests in a browser (Debian: chromium, chromium-driver)"
	@echo "make lint             formatting, linting, types, stubs"
	@echo "make format           format the Python and C++ sources"
	@echo "make clean            remove $(VENV) and the build folders"
	@echo "Variables: PYTHON=$(PYTHON)  VENV=$(VENV)  ARGS='arguments of elulayer train or pytest'"

train: $(VENV)/.installed-train
	$(BIN)/elulayer train $(ARGS)

test: $(VENV)/.installed-test
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pytest $(ARGS)

# The package built in another way, in a folder of its own (CMake would keep the flags), and the tests
# of the functions on arrays, or others: $(call test_core,name,CMake's definitions,the tests' environment,tests).
CORE_TESTS := tests/layers/test_channels.py $(addprefix tests/arrays/test_,accuracy.py arguments.py backward.py \
                backward_from_output.py dispatch.py double_backward.py forward.py half.py layouts.py memory_modes.py other_arguments.py \
                reproducibility.py)
define test_core
	SKBUILD_BUILD_DIR=build/$(1)-python/objects \
	  SKBUILD_CMAKE_DEFINE="$(2);ELULAYER_CUDA=OFF;ELULAYER_WERROR=$(if $(WERROR),ON,OFF)" \
	  $(BIN)/python -m pip install --quiet --upgrade --no-deps --target build/$(1)-python/site .
	$(3) PYTHONPATH=$(abspath build/$(1)-python/site) $(BIN)/python -m pytest $(ARGS) $(or $(4),$(CORE_TESTS))
endef

test-clang: $(VENV)/.installed-test
	$(call test_core,clang,CMAKE_CXX_COMPILER=clang++)

# JAX brings the headers of the extension for XLA.
with_xla = ELULAYER_XLA_INCLUDE=$$($(BIN)/python -c "import jax; print(jax.ffi.include_dir())")

# What JAX, ONNX, PyTorch and pandas make of the package, with the extension for XLA.
test-doors: $(VENV)/.installed-doors
	$(call test_core,doors,$(with_xla),,tests/doors tests/network/test_labels.py tests/support/test_full_disks.py \
	  tests/data/test_files_from_strangers.py::test_exported_networks)

# Two MPIs do not fit into one environment.
test-mpi: build/mpi/mpich/.installed build/mpi/openmpi/.installed
	for mpi in mpich openmpi; do echo "== $$mpi"; ELULAYER_TEST_MPI=$(abspath build/mpi)/$$mpi \
	  $(BIN)/python -m pytest $(ARGS) tests/mpi || exit 1; done

# The interpreter is not instrumented, so the sanitizer's library is loaded before it.
test-sanitized: $(VENV)/.installed-test
	$(call test_core,sanitized,CMAKE_CXX_COMPILER=g++;CMAKE_CXX_FLAGS=-fsanitize=address$(comma)undefined -fno-sanitize-recover=all,$\
	  ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so)")

# ARGS="--install" installs what is missing, ARGS="--list" names the jobs.
portability: $(BIN)/python
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tools/portability.py $(ARGS)

accuracy: $(VENV)/.installed-test
	PATH="$(abspath $(BIN)):$$PATH" cmake -S . -B build/accuracy -G Ninja -DCMAKE_BUILD_TYPE=Release \
	  -DELULAYER_TESTS=ON > /dev/null
	PATH="$(abspath $(BIN)):$$PATH" cmake --build build/accuracy --target accuracy > /dev/null
	for isa in $$($(BIN)/python -c 'import elulayer; print(*elulayer.cpu_info().usable)'); do \
	  ELULAYER_ISA=$$isa build/accuracy/tests/cpp/accuracy $(ARGS) || exit 1; done

# The native benchmarks need the library Google Benchmark (Debian: libbenchmark-dev).
bench-native: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet 'cmake>=3.21' ninja
	PATH="$(abspath $(BIN)):$$PATH" cmake -S . -B build/bench -G Ninja -DCMAKE_BUILD_TYPE=Release \
	  -DELULAYER_BENCHMARKS=ON > /dev/null
	PATH="$(abspath $(BIN)):$$PATH" cmake --build build/bench --target elu_benchmark > /dev/null
	$(BIN)/python bench/native_table.py build/bench/bench/native/elu_benchmark

bench: build/bench-python/.installed
	@$(MAKE) bench-native || echo "The native benchmarks are left out: see the message above." >&2
	$(bench_python) bench/compare.py $(ARGS)

bench-compilers: build/bench-python/.installed
	PATH="$(abspath $(BIN)):$$PATH" $(bench_python) bench/compilers.py $(ARGS)

# The blog's readers' questions: docs/compare.md. ARGS="--variants elu,relu --epochs 5" for a short look.
compare: $(VENV)/.installed-test
	PYTHONPATH=bench $(BIN)/python -m activations $(ARGS)

bench-training: build/bench-python/.installed
	$(bench_python) bench/training.py $(ARGS)

bench-parallel: build/mpi/mpich/.installed
	PYTHONPATH=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])') \
	  build/mpi/mpich/bin/python bench/parallel.py $(ARGS)
	$(BIN)/python bench/scaling.py

wheel: $(VENV)/.installed-wheels
	$(BIN)/python tools/wheel.py $(ARGS)

# Sources are the documents where they are, from the repository's root; the commands' help is of those installed.
docs: $(VENV)/.installed-docs
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m sphinx -W --keep-going -c docs . build/docs/html

test-docs: docs
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pytest $(ARGS) tests/site

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/mypy
	$(BIN)/stubtest elulayer._core elulayer._cuda
	PATH="$(abspath $(BIN)):$$PATH" cmake -S . -B build/tidy -G Ninja -DCMAKE_BUILD_TYPE=Release \
	  -DELULAYER_OPENMP=OFF -DELULAYER_CUDA=OFF -DELULAYER_TESTS=ON -DCMAKE_EXPORT_COMPILE_COMMANDS=ON > /dev/null
	$(BIN)/clang-tidy --quiet -p build/tidy $(filter-out cpp/bindings/% tests/% bench/%, $(filter %.cpp, $(CPP)))
	$(BIN)/python tools/fit_expm1.py --check
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --quiet --offline --strict-collection --config .github/zizmor.yml .github/workflows

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $(CPP)

clean:
	rm -rf $(VENV) build

new_venv = $(PYTHON) -m venv $(1) || { rm -rf $(1); $(PYTHON) -m virtualenv $(1); } || \
  { rm -rf $(1); echo "$(PYTHON) has neither a working venv module nor virtualenv" >&2; exit 1; }

# With the extension for XLA, apart from the environment's own.
build/bench-python/.installed: $(VENV)/.installed-bench
	SKBUILD_BUILD_DIR=build/bench-python/objects SKBUILD_CMAKE_DEFINE="$(with_xla);ELULAYER_CUDA=OFF" \
	  $(BIN)/python -m pip install --quiet --upgrade --no-deps --target build/bench-python/site .
	@touch $@
bench_python = PYTHONPATH=$(abspath build/bench-python/site) $(BIN)/python

# mpi4py and an MPI of PyPI's; the package and what it needs come from the other environment.
build/mpi/%/.installed: $(VENV)/.installed-test
	$(call new_venv,build/mpi/$*)
	build/mpi/$*/bin/python -m pip install --quiet mpi4py $*
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "elulayer needs Python 3.10 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12" >&2; exit 1; }
	$(call new_venv,$(VENV))

$(VENV)/.installed: $(BIN)/python $(SOURCES)
	$(BIN)/python -m pip install --quiet .
	@touch $@

# What an extra needs beside the package, which is there and is not built again. pip writes down where a
# package is from that is no index's.
$(VENV)/.installed-%: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet 'elulayer[$*]'
	@$(BIN)/python -c "from importlib.metadata import distribution as d; d('elulayer').read_text('direct_url.json') or \
	  exit('$(VENV) has another elulayer than that of this folder: make clean')"
	@touch $@
