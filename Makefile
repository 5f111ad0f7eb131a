# make demo    serve the example application and run one of its evaluators (ONCE=1: and stop)
# make demo-scale    the same on two Celery workers, one of which is killed in the middle of a run
# make test    lint, types and tests
# make test-fast    the tests that need no servers, browsers or processes of their own
# make docs    the documentation as a site, in docs/_build/html
# make package    what is published: built, checked, installed into an empty environment, and served
# make compare    the same evaluators under the official dev server and under this one
# make bench    our speed beside that of the official dev servers (QUICK=1: a small run)
# make bench-steady    what is held under load, and whether it is given back
# make bench-hostile    what one hostile request does to everybody else
# make bench-tracing    what tracing costs per case
# make bench-json    what a null in a value costs
# make bench-distributed    runs on Celery workers, beside bare tasks of Celery
# make bench-import    what importing the package costs an application
# make bench-workers    two worker processes beside one, and the memory of each further one
# make bench-page    the local page with 10,000 cases that have traces, in a real Chromium
# make bench-local    runs without a server, beside those of two other libraries
PYTHON ?= python3
PORT ?= 8300
VENV := .venv
BIN := $(VENV)/bin

# Tests start many interpreters. Without compiled modules, each of them takes half a second more.
unexport PYTHONDONTWRITEBYTECODE

# No plugin of pytest but xdist is needed, and importing the others takes as long as many tests.
PYTEST := PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(BIN)/python -m pytest
# What runs side by side is printed at its end, where make can do that (macOS has an old one).
IN_BLOCKS := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

# Tests of other targets.
ELSEWHERE := $(addprefix --ignore tests/,official packaging)

# More than there are cores, since tests with servers wait for them much of the time.
PROCESSES := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)

.PHONY: demo demo-scale test test-fast docs package compare bench bench-steady bench-hostile bench-tracing bench-json bench-import bench-local bench-distributed bench-workers bench-page marked-tests unmarked-tests-and-checks unmarked-tests lint format types clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# make/make/p' Makefile

demo: $(VENV)/.demo
	@$(BIN)/python -m example_app.demo --port $(PORT) $(if $(ONCE),--once)

demo-scale: $(VENV)/.demo-scale
	@$(BIN)/python -m example_app.demo_scale --port $(PORT)

# The marked tests wait for servers and other processes much of the time. The time that they leave
# is for the rest: one process, since to share out single tests takes half as much again as running
# them. The rest is printed at its end, not between the results of the marked tests.
test: $(VENV)/.dev
	@$(MAKE) --no-print-directory --jobs=4 marked-tests unmarked-tests-and-checks
	@echo "Passed: lint (ruff), types (mypy --strict), tests (pytest)."

unmarked-tests-and-checks: $(VENV)/.dev
	@$(MAKE) --no-print-directory $(IN_BLOCKS) unmarked-tests lint types

marked-tests: $(VENV)/.dev
	@$(PYTEST) -p xdist --numprocesses $(PROCESSES) --dist loadscope --no-loadscope-reorder \
		-m "live or slow" $(ELSEWHERE)

unmarked-tests: $(VENV)/.dev
	@nice env $(PYTEST) --quiet -m "not live and not slow" $(ELSEWHERE)

test-fast: $(VENV)/.dev
	@$(BIN)/python -m tests.parts
	@echo "Passed: the tests that need no servers, browsers or processes of their own."

docs: $(VENV)/.dev
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env -b html docs docs/_build/html
	@echo "Built: docs/_build/html/index.html"

package: $(VENV)/.dev
	rm -rf build dist *.egg-info
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/python -m pytest tests/packaging

compare: $(VENV)/.dev
	$(BIN)/python -m pytest tests/official

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.compare $(if $(QUICK),--quick) $(if $(REPEATS),--repeats $(REPEATS))

bench-steady: $(VENV)/.dev
	$(BIN)/python -m benchmarks.steadiness $(PARTS)

bench-hostile: $(VENV)/.dev
	$(BIN)/python -m benchmarks.hostile $(KINDS)

bench-tracing: $(VENV)/.dev
	$(BIN)/python -m benchmarks.tracing_cost

bench-json: $(VENV)/.dev
	$(BIN)/python -m benchmarks.json_cost

bench-distributed: $(VENV)/.dev
	$(BIN)/python -m benchmarks.distributed $(PARTS)

bench-import: $(VENV)/.dev
	$(BIN)/python -m benchmarks.import_cost

bench-workers: $(VENV)/.dev
	$(BIN)/python -m benchmarks.workers

bench-page: $(VENV)/.dev
	$(BIN)/python -m benchmarks.page $(if $(CASES),--cases $(CASES))

bench-local: $(VENV)/.dev
	$(BIN)/python -m benchmarks.local

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev
	nice $(BIN)/mypy

$(VENV)/bin/python:
	@$(PYTHON) --version >/dev/null 2>&1 || { echo "Python 3.10 or later is needed, and '$(PYTHON)' does not run. Name another with make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or later is needed; this is $$($(PYTHON) --version). Name another with make PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "No virtual environment could be made; on Debian, install python3-venv."; exit 1; }

$(VENV)/.demo: $(VENV)/bin/python setup.py
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[gunicorn]'
	@touch $@

$(VENV)/.demo-scale: $(VENV)/bin/python setup.py
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[celery,gunicorn]' 'celery[redis]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python setup.py requirements-dev.txt
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) .bench build dist docs/_build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
