#!/usr/bin/env bash
# Builds, tests, sanitizes and times the CUDA unit on the machine's GPU, without a network.
#
#   tools/prove_on_gpu.sh [FOLDER]
#
# FOLDER (default: build/gpu in the project) gets a log of each step, the builds, and the results of
# bench/gpu.py; those of an earlier run are removed. A step that fails is reported at the end, and
# the next ones run. The exit status is 0 if all passed. Environment: LIMIT, seconds for everything
# (default: 530); PYTHON (default: python3), which must have hypothesis, ml_dtypes, numpy,
# pybind11, pytest, scikit-build-core, threadpoolctl and torch (and CuPy, for the tests with its arrays). It needs
# cmake, ninja, nvcc and compute-sanitizer.
set -uo pipefail

case ${1:-} in
  -*)
    echo "usage: tools/prove_on_gpu.sh [FOLDER]" >&2
    exit 2
    ;;
esac
project=$(cd "$(dirname "$0")/.." && pwd) || exit 1
out=${1:-$project/build/gpu}
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd) || exit 1
cd "$project" || exit 1
python=${PYTHON:-python3}
limit=${LIMIT:-530}
if ! [[ $limit =~ ^[1-9][0-9]*$ ]]; then
  echo "LIMIT is '$limit'; a number of seconds is taken" >&2
  exit 2
fi
marker=$out/.results-of-prove_on_gpu
if ! [[ -e $marker ]] && [[ -n $(ls -A "$out") ]]; then
  echo "$out is not empty and is not of an earlier run; a new or empty folder is taken" >&2
  exit 2
fi

# The toolkit, and its compute-sanitizer, are often not on PATH.
PATH="$PATH:${CUDA_HOME:-/usr/local/cuda}/bin"
if nvcc=$(command -v nvcc); then
  PATH="$PATH:$(dirname "$(readlink -f "$nvcc")")"
fi
export PATH

missing=()
for program in cmake ninja nvcc compute-sanitizer; do
  command -v "$program" > /dev/null || missing+=("the program $program")
done
for module in hypothesis ml_dtypes numpy pybind11 pytest scikit_build_core threadpoolctl torch; do
  "$python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$module') is None)" ||
    missing+=("the Python module $module")
done
"$python" -c '
import ctypes, sys
try:
    sys.exit(ctypes.CDLL("libcuda.so.1").cuInit(0) != 0)
except OSError:
    sys.exit(1)' || missing+=("a CUDA device with its driver")
if ((${#missing[@]} > 0)); then
  printf 'missing: %s\n' "${missing[@]}" >&2
  exit 2
fi

touch "$marker"
rm -f "$out"/*.log "$out"/gpu-*.md "$out"/gpu-*.json
SECONDS=0
failures=0
names=()
states=()
times=()
# Seconds that the timings are left at the end.
reserved=$((limit * 3 / 8))
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
  local name=$1 seconds=$2 begin=$SECONDS left=$((limit - reserved - SECONDS)) status
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
  SKBUILD_BUILD_TARGETS="_core;_cuda;cuda_device_test" \
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
  # The arrays of the device; the emulated ones are for machines without.
  step arrays 150 "$python" -m pytest -p no:cacheprovider -q -W default \
    -k "(torch or cupy) and not emulated" tests/arrays/test_gpu_*.py
  reserved=0
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
