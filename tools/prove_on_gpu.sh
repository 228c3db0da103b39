#!/usr/bin/env bash
# Builds, tests, sanitizes and times the CUDA unit on the machine's GPU, without a network.
#
#   tools/prove_on_gpu.sh [FOLDER]
#
# FOLDER (default: build/gpu) gets a log of each step, the builds, and the results of bench/gpu.py.
# A step that fails is reported at the end, and the next ones run. The exit status is 0 if all
# passed. Environment: LIMIT, seconds for everything (default: 530); PYTHON (default: python3),
# which must have numpy, pybind11, pytest, scikit-build-core and torch (and CuPy and ml_dtypes, for
# the tests with their arrays). It needs cmake, ninja, nvcc and compute-sanitizer.
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
case ${1:-} in
  -*)
    echo "usage: tools/prove_on_gpu.sh [FOLDER]" >&2
    exit 2
    ;;
esac
mkdir -p "${1:-build/gpu}" || exit 1
out=$(cd "${1:-build/gpu}" && pwd) || exit 1
python=${PYTHON:-python3}
limit=${LIMIT:-530}
if ! [[ $limit =~ ^[1-9][0-9]*$ ]]; then
  echo "LIMIT is '$limit'; a number of seconds is taken" >&2
  exit 2
fi
rm -f "$out"/*.log "$out"/gpu-*.md "$out"/gpu-*.json
SECONDS=0
failures=0
names=()
states=()
times=()

# The toolkit is often not on PATH.
if ! command -v nvcc > /dev/null; then
  PATH="${CUDA_HOME:-/usr/local/cuda}/bin:$PATH"
fi
export PATH
CMAKE_BUILD_PARALLEL_LEVEL=$(nproc)
export CMAKE_BUILD_PARALLEL_LEVEL

record() { # NAME STATE TIME
  names+=("$1")
  states+=("$2")
  times+=("$3")
  echo "$1: $2 ($3 s)"
}

# Runs a command for at most so many seconds, and not beyond the limit of all.
step() { # NAME SECONDS COMMAND...
  local name=$1 seconds=$2 begin=$SECONDS left=$((limit - SECONDS)) status
  shift 2
  if ((left < 5)); then
    failures=$((failures + 1))
    record "$name" "failed: no time was left" 0
    return 1
  fi
  ((seconds > left)) && seconds=$left
  echo "--- $name"
  timeout --kill-after=5 "$seconds" "$@" > "$out/$name.log" 2>&1 < /dev/null
  status=$?
  if ((status == 0)); then
    record "$name" passed $((SECONDS - begin))
    return 0
  fi
  failures=$((failures + 1))
  tail -n 25 "$out/$name.log"
  if ((status == 124 || status == 137)); then
    record "$name" "failed: longer than $seconds s" $((SECONDS - begin))
  else
    record "$name" "failed: status $status" $((SECONDS - begin))
  fi
  return 1
}

skip() { # NAME WHY
  failures=$((failures + 1))
  record "$1" "failed: $2" 0
}

capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -n 1 | tr -d '. \r')
if ! [[ $capability =~ ^[0-9]+$ ]]; then
  echo "nvidia-smi names no compute capability; the build is for 9.0" >&2
  capability=90
fi

describe='
import importlib, shutil, subprocess, sys
print("Python", sys.version)
for name in ("numpy", "torch", "cupy", "ml_dtypes", "pybind11", "pytest", "scikit_build_core"):
    try:
        print(name, getattr(importlib.import_module(name), "__version__", ""))
    except Exception as error:
        print(name, "cannot be imported:", error)
for command in (["nvidia-smi"], ["nvcc", "--version"], ["cmake", "--version"], ["ninja", "--version"],
                ["compute-sanitizer", "--version"]):
    print("$", *command, flush=True)
    if shutil.which(command[0]):
        subprocess.run(command)
    else:
        print("not found")
'
step machine 60 "$python" -c "$describe"

# The package; the native test is built in the same folder or, without the package, in its own.
site=$out/site
build=$out/wheel
rm -rf "$site" "$build" "$out/native"
package=false
SKBUILD_CMAKE_DEFINE="ELULAYER_CUDA=ON;ELULAYER_TESTS=ON;CMAKE_CUDA_ARCHITECTURES=$capability" \
  step build-package 180 "$python" -m pip install --no-index --no-build-isolation --no-deps \
  --disable-pip-version-check --verbose --target "$site" --config-settings build-dir="$build" . &&
  package=true
if ! $package; then
  build=$out/native
  step configure-test 60 cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DELULAYER_TESTS=ON -DELULAYER_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES="$capability"
fi
test=$build/tests/cpp/cuda_device_test
native=false
step build-test 180 cmake --build "$build" --target cuda_device_test && native=true

sanitize() { # NAME TOOL OPTIONS...
  local name=$1 tool=$2
  shift 2
  step "$name" 70 compute-sanitizer --tool "$tool" --error-exitcode 1 "$test" --small "$@"
}
if $native; then
  step device-test 120 "$test"
  # Each array's allocation ends where the array does, so that reading beyond it is found too.
  sanitize memcheck memcheck --no-canaries
  sanitize racecheck racecheck
  sanitize initcheck initcheck --no-canaries --unwritten
  sanitize synccheck synccheck
else
  for name in device-test memcheck racecheck initcheck synccheck; do
    skip "$name" "cuda_device_test was not built"
  done
fi

export PYTHONPATH=$site
if $package; then
  # Without a device the tests of arrays would take emulated ones alone, and pass.
  step device 60 "$python" -c '
import sys, elulayer
info = elulayer.cuda_info()
print(info)
sys.exit(not info.available)'
  # tests/conftest.py is for tests that need hypothesis.
  step arrays 150 "$python" -m pytest --noconftest -p no:cacheprovider -q tests/test_gpu_arrays.py
  budget=$((limit - SECONDS - 40))
  ((budget < 30)) && budget=30
  step bench "$limit" "$python" bench/gpu.py --budget "$budget" --results "$out"
else
  skip device "the package was not built"
  skip arrays "the package was not built"
  skip bench "the package was not built"
fi

echo
printf '%-16s %6s  %s\n' step seconds state
for i in "${!names[@]}"; do
  printf '%-16s %6s  %s\n' "${names[i]}" "${times[i]}" "${states[i]}"
done | tee "$out/summary.txt"
echo "$SECONDS s; results and logs: $out"
for table in "$out"/gpu-*.md; do
  [[ -e $table ]] && sed -n '/^## Targets/,/^## (/p' "$table" | sed '$d'
done
((failures == 0))
