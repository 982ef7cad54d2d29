# make demo       install the package and run the main job
# make test       install the test tools too, check the code, run the tests
# make test-all   make test, then the rest: nightly tests, all tests of the runtime, more Hypothesis examples
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-test
# Without --no-compile, pip compiles every module of every package; Python compiles what it imports.
INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check --no-compile -c constraints.txt
SOURCE ?=
PYTEST_ARGS ?=
# One thread per worker: two workers with two threads each slow each other down.
# A worker that dies ends the run, because pytest-xdist can wait for ever for the worker that replaces it.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --max-worker-restart=0 --durations=20
# The runtime without torch is tested on these, where they are installed.
RUNTIMES ?= 3.10 3.13

.PHONY: demo test test-rest test-all check fast docs bindings triton ray runtime-install runtime gpu system-deps format clean

demo: $(STAMP)
	$(BIN)/edgeseg demo $(SOURCE) -o demo

test:
	$(MAKE) -j 3 check bindings runtime-install
	$(PYTEST) -m "not nightly" $(PYTEST_ARGS)
	PYTEST_ARGS="$(PYTEST_ARGS)" tests/runtime.sh subset $(RUNTIMES)

test-all: test
	$(MAKE) test-rest
	$(PYTEST) -m "hypothesis and not nightly" --hypothesis-profile=thorough $(PYTEST_ARGS)

# What `make test` leaves out and CI runs after it: the nightly tests, and all tests of the runtime.
test-rest: bindings triton ray runtime-install
	$(PYTEST) -m nightly $(PYTEST_ARGS)
	$(MAKE) runtime

# All tests but those that run whole conversions or trainings.
fast: check bindings
	$(PYTEST) -m "not slow and not nightly" $(PYTEST_ARGS)

check: $(TEST_STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation, as a site in site/: open site/index.html.
docs: $(TEST_STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# The Python bindings of several TensorRT releases, 1 MB each, which our calls are held against; none of them runs.
bindings: $(TEST_STAMP)
	@while read package; do folder=$(VENV)/bindings/$${package#*==}; [ -d "$$folder" ] || \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --no-compile --no-deps --target "$$folder" "$$package" || \
	  echo "skipped: $$package cannot be installed here"; done < tests/bindings.txt

# A Triton server with the back end for Python alone, 55 MB, and what that runs: a nightly test lets it load a repository.
triton: $(TEST_STAMP)
	@[ -d $(VENV)/triton/pytriton ] || $(BIN)/python -m pip install -q --disable-pip-version-check --no-compile --no-deps \
	  --target $(VENV)/triton nvidia-pytriton==0.7.0 numpy==1.26.4 onnxruntime==1.20.1 || \
	  echo "skipped: nvidia-pytriton cannot be installed here"

# Ray Data with what it needs, 500 MB, for nightly tests of batches and evaluations on a cluster.
ray: $(TEST_STAMP)
	@$(BIN)/python -c "import ray.data" 2> /dev/null || $(INSTALL) "ray[data]" || echo "skipped: ray cannot be installed here"

runtime-install:
	@tests/runtime.sh install $(RUNTIMES)

# Every test of the runtime without torch; `make test` runs those that can differ between Pythons.
runtime: runtime-install
	PYTEST_ARGS="$(PYTEST_ARGS)" tests/runtime.sh all $(RUNTIMES)

# What only a machine with a GPU can tell; a rerun goes on. GPU_ARGS="--only kernels": see benchmarks/README.md.
GPU_ARGS ?=
gpu: $(STAMP)
	@[ ! -e /dev/nvidiactl ] || $(INSTALL) -e ".[rtx]" \
	  || echo "skipped: cuda-python and tensorrt-rtx cannot be installed here"
	@$(BIN)/python benchmarks/gpu.py --json-out $(GPU_ARGS); code=$$?; \
	  [ $$code -eq 2 ] || $(BIN)/python benchmarks/report.py; exit $$code

# What the tests use beyond pip packages (Debian, Ubuntu).
system-deps:
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends libgl1 libglib2.0-0 gcc g++ libc6-dev binutils chromium \
	  cmake libpng-dev nlohmann-json3-dev \
	  gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
	  gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly

format: $(TEST_STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(STAMP): setup.py requirements.txt constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) "pip>=23"
	$(INSTALL) -e .
	touch $(STAMP)

# All at once: pip would resolve what is installed a second time.
$(TEST_STAMP): setup.py requirements.txt constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) "pip>=23"
	$(INSTALL) -e ".[test]"
	@$(INSTALL) pydensecrf2 || echo "skipped: pydensecrf2 cannot be built here, which needs a C++ compiler"
	touch $(STAMP) $(TEST_STAMP)

clean:
	rm -rf $(VENV) .venv-* build dist demo site *.egg-info
