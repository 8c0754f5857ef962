"""A chain, and the document that a client program needs to start a federation on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import chains
import pytest
from deployed_ledger import constructor_arguments

from chain_devnet import dev_accounts
from chain_devnet.accounts import MNEMONIC
from ledgerfed.ledger.artifact import round_ledger

WINDOWS = (30, 5, 30, 30, 4)


@pytest.fixture(scope="module", params=["chain_devnet", "anvil"])
def client_chain(request: pytest.FixtureRequest) -> Iterator[chains.Chain]:
    """The devnet, and anvil to show that a program asks for nothing unusual.

    Not eth-tester: it has no proofs, no fee percentiles and no websocket.
    """
    with chains.running(request.param) as chain:
        yield chain


@pytest.fixture(scope="module")
def federation_file(client_chain: chains.Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the chain is, what is deployed on it, and for whom: accounts 1 to 4 of the public mnemonic."""
    path = tmp_path_factory.mktemp("client") / "federation.json"
    path.write_text(json.dumps(federation_document(client_chain.url)), "utf-8")
    return path


def federation_document(url: str) -> dict[str, object]:
    members = tuple(account.address for account in dev_accounts()[1:5])
    arguments = constructor_arguments(
        members, committee=(0, 1, 2, 3), depth=3, windows=WINDOWS, min_updates=2
    )
    return {
        "url": url,
        "socket": url.replace("http:", "ws:"),
        "mnemonic": MNEMONIC,
        "abi": round_ledger().abi,
        "bytecode": "0x" + round_ledger().creation_code.hex(),
        "constructor": [_plain(argument) for argument in arguments],
    }


def _plain(argument: object) -> object:
    if isinstance(argument, bytes):
        return "0x" + argument.hex()
    if isinstance(argument, tuple):
        return [_plain(entry) for entry in argument]
    return argument
