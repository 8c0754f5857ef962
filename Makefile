# Two commands for newcomers: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ANALYSER := vyper-guard==0.7.0
BYZFL := byzfl-0.0.11
CLIENTS := tests/clients/node_modules/.package-lock.json

.PHONY: demo test test-all gas analyse lint bench bench-chain bench-fit clean

demo: $(VENV)/installed
	$(BIN)/ledgerfed demo

# Two workers for two cores; a file's tests stay together, since they share chains and databases.
test: lint analyse $(CLIENTS)
	$(BIN)/pytest -n 2 --dist loadfile

test-all: lint analyse $(CLIENTS)
	$(BIN)/pytest -n 2 --dist loadfile -m "slow or not slow"

bench: $(VENV)/$(BYZFL)/installed
	@$(BIN)/python tests/benchmarks/rules.py $(ARGS)

bench-chain: $(VENV)/installed-test $(CLIENTS)
	$(BIN)/python tests/benchmarks/chain_throughput.py

bench-fit: $(VENV)/installed-test
	@$(BIN)/python tests/benchmarks/fit_times.py $(ARGS)

gas: $(VENV)/installed-test
	@PYTHONPATH=tests $(BIN)/python tests/contracts/gas.py $(ARGS)

analyse: $(VENV)/analyser/$(ANALYSER)
	@$(BIN)/python tests/contracts/analyse.py $(abspath $(VENV)/analyser/bin/vyper-guard)

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

$(VENV)/analyser/$(ANALYSER): $(VENV)/bin/python
	$(BIN)/python -m venv $(VENV)/analyser
	$(VENV)/analyser/bin/python -m pip install --quiet --disable-pip-version-check $(ANALYSER)
	@touch $@

# Without its dependencies: its aggregators need torch, numpy and scipy, torchvision and the rest are for its
# training harness. PyPI's torch for Linux holds CUDA, gigabytes of it; where that matters, set
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu and pip takes the version for processors.
$(VENV)/$(BYZFL)/installed: $(VENV)/installed-test
	$(BIN)/python -m venv $(VENV)/$(BYZFL)
	$(VENV)/$(BYZFL)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy scipy
	$(VENV)/$(BYZFL)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(subst -,==,$(BYZFL))
	@touch $@

# anvil, cast, viem and ethers; node itself comes with the test extra. No package's own scripts are run.
$(CLIENTS): tests/clients/package-lock.json $(VENV)/installed-test
	$(BIN)/npm ci --prefix tests/clients --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

clean:
	rm -rf $(VENV) ledgerfed-demo dist build tests/clients/node_modules
