# Everything starts here: `make run`, `make test`, `make lint`. Another interpreter: make test PYTHON=python3.12

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first of these that runs and is 3.11 or newer; what is given on the command line or in the environment comes alone.
CANDIDATES := $(or $(PYTHON),python3 python python3.13 python3.12 python3.11)
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
FOUND := $(shell for name in $(CANDIDATES); do "$$name" -c '$(IS_NEW_ENOUGH)' >/dev/null 2>&1 && { echo "$$name"; break; }; done)
VERSION := $(if $(FOUND),$(shell $(FOUND) -c 'import platform; print(platform.python_version())'))

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# A stamp is newer than all it was made from; its name holds the version of Python, so that another PYTHON makes a new environment.
CREATED := $(VENV)/created-$(VERSION)
INSTALLED := $(VENV)/installed-$(VERSION)
DEVELOPMENT := $(VENV)/development-$(VERSION)
# The benchmarks' peers bring requirements of their own, so they live apart.
BENCH_VENV := .venv-bench
BENCH_PIP := $(BENCH_VENV)/bin/python -m pip --disable-pip-version-check --quiet
BENCH_INSTALLED := $(BENCH_VENV)/installed-$(VERSION)
BENCH_READY := $(BENCH_VENV)/peers-$(VERSION)
PEERS := libmf cmfrec scikit-surprise implicit pyspark myfm

CONF ?= demo
PYTEST_ARGS ?=
# Processes that share the tests, file by file: a file's tests lean on what its first one started. One more than two cores
# have work for, as some files mostly wait. 0: pytest itself alone.
PROCESSES ?= 3
BENCH_ARGS ?=
MINUTES ?= 5
SEED ?= 0
RUNS ?= 50
MOVES ?= 30

.PHONY: help run test long lint format docs figures bench bench-full bench-libmf screenshots chaos soak promotions install development lock clean

help:
	@echo 'make run      set up $(VENV) and run the main job on the embedded default (CONF=demo)'
	@echo 'make test     set up what the tests need and run them (PYTEST_ARGS=... to choose, PROCESSES=0 for one after another)'
	@echo 'make long     run the tests that take long, and each property on all its examples'
	@echo 'make lint     ruff check, ruff format --check, mypy --strict'
	@echo 'make format   let ruff put imports and layout in order'
	@echo 'make docs     build the manual into build/docs, with warnings as errors'
	@echo 'make figures  draw the pictures and the layers in docs/ again'
	@echo 'make screenshots RATINGS=PATH    take the screenshots in docs/ again, with the report of a run on those ratings; needs Chromium'
	@echo 'make bench    measure beside other programs, 5 M ratings, minutes; bench-full: 100 M, hours (BENCH_ARGS=...)'
	@echo 'make chaos    strike runs with faults by a seeded schedule (MINUTES=5 SEED=0) and compare their bits'
	@echo 'make soak     scheduled runs under kills and collisions (RUNS=50 SEED=0)'
	@echo 'make promotions  a server under load while the model in use moves (MOVES=30 SEED=0)'
	@echo 'make lock     resolve the versions in requirements*.lock again'
	@echo 'make clean    remove $(VENV), caches and build products; data/ stays'

run: $(INSTALLED)
	$(BIN)/funkflow run $(CONF)

# Hundreds of processes start; each would compile the package anew where none may keep what another compiled.
define two_sessions
unset PYTHONDONTWRITEBYTECODE; status=0; \
$(BIN)/python -m pytest --alone only $(1) $(PYTEST_ARGS) || status=$$?; \
$(BIN)/python -m pytest --alone without -n $(PROCESSES) --dist loadfile --no-loadscope-reorder $(1) $(PYTEST_ARGS) || status=$$?; \
exit $$status
endef

test: $(DEVELOPMENT)
	$(call two_sessions,--long without)

long: $(DEVELOPMENT)
	$(call two_sessions,--long only --hypothesis-profile full)

lint: $(DEVELOPMENT)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(DEVELOPMENT)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(DEVELOPMENT)
	$(BIN)/python -m sphinx -b html -W --keep-going -n -q -E docs build/docs
	@echo 'build/docs/index.html'

figures: $(DEVELOPMENT)
	$(BIN)/python -m docs.draw_figures docs
	PYTHONPATH=.:tests/support $(BIN)/python -m draw_architecture

screenshots: $(DEVELOPMENT)
	PYTHONPATH=.:tests/support $(BIN)/python -m docs.screenshots docs $(RATINGS)

bench: $(BENCH_READY)
	$(BENCH_VENV)/bin/python -m bench small $(BENCH_ARGS)

bench-full: $(BENCH_READY)
	$(BENCH_VENV)/bin/python -m bench full $(BENCH_ARGS)

# The benchmarks at their smallest, against LIBMF alone, which needs a compiler and its source but no peer's package.
bench-libmf: $(BENCH_INSTALLED)
	$(BENCH_VENV)/bin/python -m bench tiny --peers libmf --only kernel,quality,jobs --strict

chaos: $(DEVELOPMENT)
	$(BIN)/python -m chaos --minutes $(MINUTES) --seed $(SEED)

soak: $(DEVELOPMENT)
	$(BIN)/python -m chaos soak --runs $(RUNS) --seed $(SEED)

promotions: $(DEVELOPMENT)
	$(BIN)/python -m chaos promotions --moves $(MOVES) --seed $(SEED)

install: $(INSTALLED)

development: $(DEVELOPMENT)

# Where Python came without ensurepip (Debian's, without python3-venv), its own pip fills the environment instead.
$(CREATED):
	@if [ -z "$(FOUND)" ]; then \
	  echo "funkflow needs Python 3.11 or newer; none of these is: $(CANDIDATES). Install one, or name it: make PYTHON=/path/to/python3.12" >&2; \
	  exit 1; \
	fi
	@echo "making $(VENV) with $(FOUND) ($(VERSION))"
	@$(FOUND) -m venv --clear $(VENV) >/dev/null 2>&1 || { \
	  $(FOUND) -m venv --clear --without-pip $(VENV) && \
	  $(FOUND) -m pip --quiet --python $(BIN)/python install pip; }
	@touch $@

$(INSTALLED): $(CREATED) requirements.lock pyproject.toml
	@echo "installing the pinned requirements (some minutes the first time)"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEVELOPMENT): $(INSTALLED) requirements-dev.lock
	@echo "installing the pinned tools for tests and checks"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

$(BENCH_INSTALLED): requirements.lock pyproject.toml
	@echo "making $(BENCH_VENV) (some minutes the first time)"
	@$(FOUND) -m venv --clear $(BENCH_VENV)
	@$(BENCH_PIP) install --require-hashes -r requirements.lock
	@$(BENCH_PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# Each peer by itself, from the lock without the others: one that does not install here is reported in the table as failed
# and costs nobody else his place.
$(BENCH_READY): $(BENCH_INSTALLED) requirements-bench.lock
	@for peer in $(PEERS); do \
	  echo "installing $$peer"; \
	  awk -v peer="$$peer" -v peers="$(PEERS)" 'BEGIN { count = split(peers, names, " ") } \
	    /^[^ ]/ { kept = 1; for (i = 1; i <= count; i++) if (names[i] != peer && index($$0, names[i] "==") == 1) kept = 0 } \
	    kept' requirements-bench.lock > $(BENCH_VENV)/requirements-one-peer.txt; \
	  $(BENCH_PIP) install --require-hashes -r $(BENCH_VENV)/requirements-one-peer.txt || \
	    echo "$$peer cannot be installed here; it will be reported as failed" >&2; \
	done
	@touch $@

# One resolution for every Python from 3.11 on. The widest comes first, with what the tests need and thereby the extra s3,
# whose botocore wants an older python-dateutil; the others are held to it, so each fits one environment with it.
RESOLVE := $(VENV)/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
  --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command 'make lock' --group build

lock: $(CREATED)
	$(PIP) install uv
	$(RESOLVE) --group dev --output-file requirements-dev.lock
	$(RESOLVE) --constraint requirements-dev.lock --output-file requirements.lock
	$(RESOLVE) --extra bench --constraint requirements.lock --output-file requirements-bench.lock

clean:
	rm -rf $(VENV) $(BENCH_VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find bench chaos docs funkflow pipeline tasks conf tests -name __pycache__ -type d -prune -exec rm -rf {} +
