"""Federations on each of the three chains, or on the EVM alone where a test needs what no chain does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from chain_evm import ChainEvm
from chains import Chain
from contract_values import RevertedError
from deployed_ledger import Evm, Ledger, deploy
from local_evm import LocalEvm, Record


@pytest.fixture(scope="session")
def record(request: pytest.FixtureRequest) -> Iterator[Record | None]:
    """What the calls of the session ran through; kept only under `--record-calls`."""
    path = request.config.getoption("record_calls")
    record = Record()
    yield record if path else None
    if path:
        record.write(Path(path))


@pytest.fixture
def evm(chain: Chain | Record) -> Evm:
    """The chain, or under `--record-calls` the EVM that writes down what ran."""
    return LocalEvm(record=chain) if isinstance(chain, Record) else ChainEvm(chain)


@pytest.fixture
def deploy_ledger(evm: Evm) -> Callable[..., Ledger]:
    return partial(deploy, evm)


@pytest.fixture
def ledger(deploy_ledger: Callable[..., Ledger]) -> Ledger:
    """Four nodes, all on the committee (q = 3), windows 10, 5, 10, 10, 4, fewest updates 2."""
    return deploy_ledger()


@pytest.fixture
def local_evm(record: Record | None) -> Callable[..., LocalEvm]:
    """The EVM alone, with any chain id and block: for exact gas, and what no chain can be asked to do."""
    return partial(LocalEvm, record=record)


@pytest.fixture
def reverts() -> Callable[..., object]:
    """`with reverts("part of the reason"):`"""
    return lambda reason: pytest.raises(RevertedError, match=re.escape(reason))
