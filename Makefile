# make demo    set everything up and run the main job
# make test    set everything up and pass the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCE ?=
PYTEST_ARGS ?=
# One thread a worker: two workers with two threads each only get in each other's way.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal
# The runtime without torch is tested on these, where they are installed.
RUNTIMES ?= 3.10 3.13

.PHONY: demo test check fast docs bindings runtime gpu system-deps format clean

demo: $(STAMP)
	$(BIN)/edgeseg demo $(SOURCE) -o demo

test: check bindings
	$(PYTEST) $(PYTEST_ARGS)
	$(MAKE) runtime

# All tests but those that run whole conversions or trainings.
fast: check bindings
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation, as a site in site/: open site/index.html.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# The Python bindings of several TensorRT releases, 1 MB each, which our calls are held against; none of them runs.
bindings: $(STAMP)
	@while read package; do folder=$(VENV)/bindings/$${package#*==}; [ -d "$$folder" ] || \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --target "$$folder" "$$package" || \
	  echo "skipped: $$package cannot be installed here"; done < tests/bindings.txt

runtime: $(STAMP)
	@PYTHON="$(PYTHON)" tests/runtime.sh $(RUNTIMES)

# What only a machine with a GPU can tell; a rerun goes on. GPU_ARGS="--only kernels": see benchmarks/README.md.
GPU_ARGS ?=
gpu: $(STAMP)
	@[ ! -e /dev/nvidiactl ] || $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[rtx]" \
	  || echo "skipped: cuda-python and tensorrt-rtx cannot be installed here"
	@$(BIN)/python benchmarks/gpu.py --json-out $(GPU_ARGS); code=$$?; \
	  [ $$code -eq 2 ] || $(BIN)/python benchmarks/report.py; exit $$code

# What the tests use beyond pip packages (Debian, Ubuntu).
system-deps:
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends libgl1 libglib2.0-0 gcc g++ libc6-dev binutils chromium

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(STAMP): setup.py requirements.txt constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt "pip>=23" setuptools wheel
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $(STAMP)

clean:
	rm -rf $(VENV) .venv-* build dist demo site *.egg-info
