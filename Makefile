# Every target sets up what it needs in its own virtual environment, .venv.
#   make demo   the main job on a recording that it generates; result folder in $(OUT)
#   make test   all tests, lint, documentation and examples
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= results/demo
# Test processes. Each starts its own threads for linear algebra.
JOBS ?= 2
# The first interpreter that is new enough and can make environments.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: help demo test test-fast test-slow lint docs examples bench clean
.DEFAULT_GOAL := help

help:
	@sed -n '2,4s/^# *//p' Makefile
	@echo "also: lint  docs  examples  bench  test-fast  test-slow  clean"

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "onehotglm needs Python 3.11 or newer with venv; \
	name one by make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# One stamp per set of extras: an environment is set up once, and again when
# pyproject.toml changes.
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(PIP) install -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(PIP) install -e ".[dev]"
	@touch $@ $(VENV)/.demo

$(VENV)/.bench: pyproject.toml | $(BIN)/python
	$(PIP) install -e ".[bench]"
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/onehotglm demo --out $(OUT)

# In this order: what fails fast comes first.
test:
	$(MAKE) test-fast
	$(MAKE) lint
	$(MAKE) examples
	$(MAKE) docs
	$(MAKE) test-slow

test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow"

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(JOBS) -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.dev
	rm -rf docs/_build docs/api/generated
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

examples: $(VENV)/.dev
	set -e; for script in examples/*.py; do \
	echo "== $$script"; $(BIN)/python -W error::DeprecationWarning:__main__ $$script --out results/examples; done

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/recovery.py --all
	$(BIN)/python benchmarks/scale.py --quick
	$(BIN)/python benchmarks/rnn_training.py

clean:
	rm -rf $(VENV) results docs/_build docs/api/generated build dist
