#!/usr/bin/env bash
# Test the runtime without torch on the Python versions that are named and installed:
#   tests/runtime.sh install 3.10 3.13   make the environments
#   tests/runtime.sh subset 3.10 3.13    run the tests that can differ between Pythons
#   tests/runtime.sh all 3.10 3.13       run every test that needs no torch
set -euo pipefail
cd "$(dirname "$0")/.."
what=$1
shift
PIP=(-m pip install -q --disable-pip-version-check --no-compile)
SUBSET=(tests/test_runtime.py tests/test_segmenter.py tests/test_stream.py tests/contract/test_engines.py
  tests/pixels tests/predictions tests/video)

# Print the interpreter of a version, or nothing.
python_of() {
  local python
  python=$(command -v "python$1" || true)
  # a pyenv shim that is on the path answers only for the versions that are switched on
  "${python:-false}" --version >/dev/null 2>&1 ||
    python=$(ls -d "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python 2>/dev/null | tail -n 1 || true)
  echo "$python"
}

install() {
  local venv=.venv-$1 python stamp=.venv-$1/.installed
  if [ -f "$stamp" ] && [ "$stamp" -nt requirements.txt ] && [ "$stamp" -nt constraints.txt ] && [ "$stamp" -nt setup.py ]; then
    return
  fi
  python=$(python_of "$1")
  if [ -z "$python" ]; then
    return
  fi
  "$python" -m venv "$venv"
  "$venv/bin/python" "${PIP[@]}" -c constraints.txt -r requirements.txt openvino hypothesis pytest pytest-xdist
  touch "$stamp"
}

run_tests() {
  local python=.venv-$1/bin/python
  if [ ! -f ".venv-$1/.installed" ]; then
    echo "skipped: the runtime on Python $1, which is not installed here"
    return
  fi
  # Not while the environments are made side by side: the builds of edgeseg would write to the same folder.
  if ! [ ".venv-$1/.linked" -nt setup.py ]; then
    "$python" "${PIP[@]}" --no-deps -e .
    touch ".venv-$1/.linked"
  fi
  echo "the runtime without torch on $("$python" --version)"
  "$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is not None)'
  # TensorRT's bindings are for the Python of the main environment
  EDGESEG_REQUIRE="${EDGESEG_REQUIRE//,bindings/}" OMP_NUM_THREADS=1 "$python" -m pytest -m "not slow and not nightly" \
    -n 2 --dist worksteal --max-worker-restart=0 --durations=20 "${@:2}" ${PYTEST_ARGS:-}
}

export EDGESEG_REQUIRE="${EDGESEG_REQUIRE:-}"
installs=()
for version in "$@"; do
  case $what in
    install) # side by side: while one waits for the network, another unpacks
      install "$version" &
      installs+=($!)
      ;;
    subset) run_tests "$version" "${SUBSET[@]}" ;;
    all) run_tests "$version" ;;
  esac
done
for process in ${installs[@]+"${installs[@]}"}; do
  wait "$process"
done
