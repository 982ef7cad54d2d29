#!/usr/bin/env bash
# Test the runtime without torch on the Python versions that are named and installed: tests/runtime.sh 3.10 3.13
set -euo pipefail
cd "$(dirname "$0")/.."
export EDGESEG_REQUIRE="${EDGESEG_REQUIRE:-}"
EDGESEG_REQUIRE="${EDGESEG_REQUIRE//,bindings/}" # TensorRT's are for the Python of the main environment
for version in "$@"; do
  python=$(command -v "python$version" || true)
  # a pyenv shim that is on the path answers only for the versions that are switched on
  "${python:-false}" --version >/dev/null 2>&1 || python=$(ls -d "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python 2>/dev/null | tail -n 1)
  if [ -z "$python" ]; then
    echo "skipped: the runtime on Python $version, which is not installed here"
    continue
  fi
  venv=.venv-$version
  if [ ! -f "$venv/.installed" ] || [ requirements.txt -nt "$venv/.installed" ] || [ constraints.txt -nt "$venv/.installed" ]; then
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt setuptools wheel
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt \
      -r requirements.txt openvino hypothesis pytest pytest-xdist
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
    touch "$venv/.installed"
  fi
  echo "the runtime without torch on $("$venv/bin/python" --version)"
  "$venv/bin/python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is not None)'
  OMP_NUM_THREADS=1 "$venv/bin/python" -m pytest -m "not slow" -n 2 --dist loadfile ${PYTEST_ARGS:-}
done
