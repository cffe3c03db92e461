# Every target builds what it needs in .venv, from a machine with python3 (3.11 or later).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REPORT ?= demo-report.html
# They are compiled when the package is installed.
LOOPS := hatch_build.py $(wildcard hecf/he/_loops/*)

.PHONY: demo test check format generate clean

demo: $(VENV)/.demo  ## run the loyalty-programme demonstration
	$(BIN)/hecf demo --report $(REPORT)

test: $(VENV)/.dev  ## run every test
	$(BIN)/python -m pytest

check: $(VENV)/.dev  ## style, types, layers, protos, generated code
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python protos/generate.py --check
	$(BIN)/python docs/write_figures.py --check

format: $(VENV)/.dev  ## format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

generate: $(VENV)/.dev  ## generate hecf/api from protos/
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python protos/generate.py

clean:  ## remove what the targets built
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $$($(PYTHON) --version) found, Python 3.11 or later expected (PYTHON=...)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.demo: pyproject.toml $(LOOPS) | $(VENV)/.python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,paillier]'
	touch $@

$(VENV)/.dev: pyproject.toml $(LOOPS) | $(VENV)/.python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,dev]'
	touch $@
