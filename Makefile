# Two commands for newcomers: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CLIENTS := tests/clients/node_modules/.package-lock.json

.PHONY: demo test test-all gas lint bench-chain clean

demo: $(VENV)/installed
	$(BIN)/ledgerfed demo

test: lint $(CLIENTS)
	$(BIN)/pytest

test-all: lint $(CLIENTS)
	$(BIN)/pytest -m "slow or not slow"

bench-chain: $(VENV)/installed-test $(CLIENTS)
	$(BIN)/python tests/benchmarks/chain_throughput.py

gas: $(VENV)/installed-test
	@PYTHONPATH=tests $(BIN)/python tests/contracts/gas.py $(ARGS)

lint: $(VENV)/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	@touch $@ $(VENV)/installed

# anvil, cast, viem and ethers; node itself comes with the test extra. No package's own scripts are run.
$(CLIENTS): tests/clients/package-lock.json $(VENV)/installed-test
	$(BIN)/npm ci --prefix tests/clients --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

clean:
	rm -rf $(VENV) ledgerfed-demo dist build tests/clients/node_modules
