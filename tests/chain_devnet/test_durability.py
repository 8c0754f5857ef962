"""What was acknowledged is still there: after a restart, after kill -9; and a directory is never mixed up."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from web3 import HTTPProvider, Web3

from chain_devnet import DevnetServer
from ledgerfed.errors import ConfigurationError, InvalidValueError, StoreError


@contextmanager
def program(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`python -m chain_devnet` and the URL that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "chain_devnet", "--port", "0", *options], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        yield process, found.group()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chain_devnet", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_what_was_acknowledged_survives_kill_nine(
    tmp_path: Path, artifact: dict[str, Any], deploy: Any
) -> None:
    with program("--dir", str(tmp_path)) as (process, url):
        web3 = Web3(HTTPProvider(url))
        contract = deploy(web3, artifact)
        for number in range(20, 30):
            last = contract.functions.put(number, "kept").transact({"from": web3.eth.accounts[0]})
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with program("--dir", str(tmp_path)) as (_, url):
        web3 = Web3(HTTPProvider(url))
        contract = web3.eth.contract(address=contract.address, abi=artifact["abi"])
        receipt = web3.eth.get_transaction_receipt(last)
        assert receipt["status"] == 1
        assert web3.eth.block_number == receipt["blockNumber"] == 11
        assert contract.functions.number().call() == 29
        assert len(web3.eth.get_logs({"fromBlock": 0})) == 10
        contract.functions.put(30, "on").transact({"from": web3.eth.accounts[0]})
        head = web3.eth.get_block("latest")
        assert head["number"] == 12
        assert head["parentHash"] == receipt["blockHash"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program_ends_cleanly_on_a_signal(tmp_path: Path, number: int) -> None:
    with program("--dir", str(tmp_path), "--block-time", "0.05") as (process, url):
        web3 = Web3(HTTPProvider(url))
        assert len(web3.eth.accounts) == 20
        started = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert time.monotonic() - started < 5


def test_the_program_prints_where_it_is_and_whose_keys_are_public(tmp_path: Path) -> None:
    with program("--in-memory") as (process, url):
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(21)]
        assert url.startswith("http://127.0.0.1:")
        assert "public" in lines[0]
        assert "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266" in lines[1]
        assert "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80" in lines[1]


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run("--in-memory", "--port", str(taken.getsockname()[1]))
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert "cannot listen" in ended.stderr


def test_another_chain_id_or_store_version_is_one_clear_line(tmp_path: Path) -> None:
    with DevnetServer(tmp_path, chain_id=7):
        pass
    ended = run("--dir", str(tmp_path), "--port", "0")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "another chain id (7, not 31337)" in ended.stderr
    with closing(sqlite3.connect(tmp_path / "chain.sqlite")) as database:
        database.execute("PRAGMA user_version = 99")
    ended = run("--dir", str(tmp_path), "--port", "0", "--chain-id", "7")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "version 99" in ended.stderr


def test_a_file_that_is_no_chain_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "chain.sqlite"
    file.write_bytes(b"something precious" * 100)
    with pytest.raises(StoreError, match="cannot be read"):
        DevnetServer(tmp_path).start()
    assert file.read_bytes() == b"something precious" * 100
    with pytest.raises(StoreError, match="cannot open"):
        DevnetServer(file).start()


def test_two_servers_cannot_share_a_directory(tmp_path: Path) -> None:
    with DevnetServer(tmp_path), pytest.raises(StoreError, match="in use by another process"):
        DevnetServer(tmp_path).start()
    with DevnetServer(tmp_path) as server:
        assert server.chain.head.header.number == 0


def test_a_restart_needs_no_options_but_refuses_contradicting_ones(tmp_path: Path) -> None:
    address = "0x" + "c0" * 20
    with DevnetServer(tmp_path, fund={address: 5}, genesis_time=1_000) as server:
        genesis = server.chain.head.hash
    for same in ({}, {"fund": {address: 5}}, {"genesis_time": 1_000}):
        with DevnetServer(tmp_path, **same) as server:
            assert server.chain.head.hash == genesis
    with pytest.raises(ConfigurationError, match="another fund"):
        DevnetServer(tmp_path, fund={address: 6}).start()
    with pytest.raises(ConfigurationError, match="another genesis time"):
        DevnetServer(tmp_path, genesis_time=2_000).start()


def test_wrong_parameters_are_refused_before_anything_starts() -> None:
    for wrong in (
        {"port": 70_000},
        {"chain_id": 0},
        {"fund": {"0x12": 1}},
        {"fund": {"0x" + "11" * 20: -1}},
        {"genesis_time": -1},
        {"block_time": 0.0},
    ):
        with pytest.raises(InvalidValueError):
            DevnetServer(**wrong)


def test_a_server_starts_and_stops_quickly_and_frees_its_port() -> None:
    server = DevnetServer()
    server.start()
    port = int(server.url.rsplit(":", 1)[1])
    web3 = Web3(HTTPProvider(server.url))
    assert web3.is_connected()
    started = time.monotonic()
    server.stop()
    server.stop()
    assert time.monotonic() - started < 2
    with pytest.raises(ConfigurationError, match="not running"):
        _ = server.url
    with DevnetServer(port=port) as again:
        assert again.url.endswith(f":{port}")
