"""The chains that are compared: each one in a state in which the same work can be sent to it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from web3 import EthereumTesterProvider, HTTPProvider, Web3

CLIENTS = Path(__file__).parents[1] / "clients"
START_SECONDS = 30.0


@contextmanager
def devnet() -> Iterator[Web3]:
    """chain_devnet in a process of its own, on disk."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "chain_devnet", "--port", "0", "--dir", directory]
        with _process(command) as process:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            if found is None:
                raise RuntimeError("chain_devnet did not say where it listens")
            yield Web3(HTTPProvider(found.group()))


@contextmanager
def anvil() -> Iterator[Web3]:
    """anvil in a process of its own, in memory, a block for each transaction as it does by default."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with _process([str(anvil_binary()), "--port", str(port), "--silent"]):
        web3 = Web3(HTTPProvider(f"http://127.0.0.1:{port}"))
        deadline = time.monotonic() + START_SECONDS
        while not web3.is_connected():
            if time.monotonic() > deadline:
                raise RuntimeError(f"anvil did not answer on port {port}")
            time.sleep(0.05)
        yield web3


@contextmanager
def eth_tester() -> Iterator[Web3]:
    """eth-tester in this process, behind web3's own provider: no HTTP and no disk."""
    yield Web3(EthereumTesterProvider())


def anvil_binary() -> Path:
    """The program: $ANVIL, the one on PATH, or the one that `npm ci` in tests/clients installs."""
    named = os.environ.get("ANVIL") or shutil.which("anvil")
    installed = sorted((CLIENTS / "node_modules" / "@foundry-rs").glob("anvil-*/bin/anvil"))
    for candidate in ([Path(named)] if named else []) + installed:
        if candidate.is_file():
            return candidate
    raise RuntimeError(f"anvil is not installed; run `npm ci` in {CLIENTS}, or set ANVIL to the program")


@contextmanager
def _process(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
