"""Three chains behind one interface: chain_devnet, eth-tester and anvil, each reached over HTTP by URL."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import httpx
from client_programs import foundry_program
from eth_tester_server import EthTesterServer

from chain_devnet import DevnetServer
from ledgerfed.ledger import demo_key
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.signature import address_of

NAMES = ("chain_devnet", "eth-tester", "anvil")
CHAIN_ID = 31337
GAS_LIMIT = 30_000_000
WEI = 100_000 * 10**18
START_SECONDS = 20.0


def stranger(name: bytes) -> bytes:
    """The private key of somebody who is no node."""
    return keccak(name)


def node_key(index: int) -> bytes:
    """The private key of a node of the contract tests."""
    return keccak(b"node" + bytes([index >> 8, index & 255]))


# Everybody who can send a transaction: on a real chain somebody has to have funded them before the test.
KEYS = (
    *(node_key(index) for index in range(40)),
    *(stranger(name) for name in (b"outsider", b"anybody", b"deployer", b"owner", b"challenger")),
)
KEY_OF = {address_of(key): key for key in KEYS}
DEMO_ACCOUNTS = tuple(demo_key(7, index).address for index in (*range(8), 100))
FUNDED = (*KEY_OF, *DEMO_ACCOUNTS)


class Chain:
    """A chain with chain id 31337, Prague rules and a block for every transaction, until told otherwise."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=60)
        self._ids = count(1)

    def exchange(self, *calls: tuple[str, tuple[object, ...]]) -> list[dict[str, Any]]:
        """The answers to one batch, errors included."""
        batch = [{"jsonrpc": "2.0", "id": next(self._ids), "method": m, "params": p} for m, p in calls]
        answers = self._client.post("/", json=batch).json()
        return sorted(answers, key=lambda answer: answer["id"])

    def rpc(self, method: str, *params: object) -> Any:
        """The result of one call; an error object is a failure of the test."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        answer = self._client.post("/", json=request).json()
        assert "error" not in answer, f"{method} on {self.name}: {answer['error']}"
        return answer["result"]

    def block_number(self) -> int:
        """The number of the newest block."""
        return int(self.rpc("eth_blockNumber"), 16)

    def mine(self, blocks: int = 1) -> None:
        """Mine blocks; transactions that wait are in the first."""
        if self.name == "eth-tester":
            answers = self.exchange(*[("evm_mine", ())] * blocks)
            assert all("error" not in answer for answer in answers), answers
        else:
            self.rpc("anvil_mine", hex(blocks))

    def snapshot(self) -> str:
        """Remember the present state."""
        return str(self.rpc("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Go back to a snapshot, which is used up."""
        assert self.rpc("evm_revert", snapshot)

    @contextmanager
    def manual_mining(self) -> Iterator[Callable[[], object]]:
        """`with chain.manual_mining() as mine:` transactions wait until mine() is called."""
        self.rpc("evm_setAutomine", False)
        try:
            yield self.mine
        finally:
            # In this order: anvil mines what waits at some moment after it was switched back.
            try:
                self.mine()
            finally:
                self.rpc("evm_setAutomine", True)

    def close(self) -> None:
        """End the connection."""
        self._client.close()


@contextmanager
def running(name: str) -> Iterator[Chain]:
    """Start one of the chains, new and with everybody in FUNDED rich."""
    with _STARTERS[name]() as url:
        chain = Chain(name, url)
        try:
            yield chain
        finally:
            chain.close()


@contextmanager
def _devnet() -> Iterator[str]:
    with DevnetServer(fund={f"0x{address.hex()}": WEI for address in FUNDED}) as server:
        yield server.url


@contextmanager
def _eth_tester() -> Iterator[str]:
    server = EthTesterServer(CHAIN_ID, FUNDED, WEI, GAS_LIMIT)
    try:
        yield server.url
    finally:
        server.close()


@contextmanager
def _anvil() -> Iterator[str]:
    command = [foundry_program("anvil"), "--host", "127.0.0.1", "--port", "0", "--hardfork", "prague"]
    options = ["--chain-id", str(CHAIN_ID), "--gas-limit", str(GAS_LIMIT), "--order", "fifo"]
    # A file, not a pipe: anvil stands still when a pipe that nobody reads is full.
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen([*command, *options], stdout=said, stderr=subprocess.STDOUT) as process,
    ):
        try:
            url = _announced_url(process, said.fileno())
            chain = Chain("anvil", url)
            chain.exchange(*[("anvil_setBalance", (f"0x{a.hex()}", hex(WEI))) for a in FUNDED])
            chain.close()
            yield url
        finally:
            process.kill()


def _announced_url(process: subprocess.Popen[bytes], said: int) -> str:
    deadline = time.monotonic() + START_SECONDS
    while True:
        text = os.pread(said, 65_536, 0).decode()
        found = re.search(r"Listening on (127\.0\.0\.1:\d+)", text)
        if found:
            return f"http://{found.group(1)}"
        assert process.poll() is None, f"anvil ended at once: {text[-500:]}"
        assert time.monotonic() < deadline, f"anvil did not start within {START_SECONDS:g} s: {text[-500:]}"
        time.sleep(0.01)


_STARTERS = {"chain_devnet": _devnet, "eth-tester": _eth_tester, "anvil": _anvil}
