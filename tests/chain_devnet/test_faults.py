"""Whatever ends a process, at whatever write: blocks are whole or absent, and what was accepted is there."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
import rlp
from devnet_history import replay
from eth_account import Account
from eth_hash.auto import keccak
from web3 import HTTPProvider, Web3
from web3.exceptions import Web3RPCError

from chain_devnet import Chain, ChainConfig, dev_accounts, open_chain
from chain_devnet.authority import Authority
from chain_devnet.block import encode_block
from chain_devnet.pyevm import PyEvmBackend
from chain_devnet.sealing import SealedChain
from chain_devnet.store import ChainStore
from ledgerfed.errors import StoreError

PAGE_BYTES, FRAME_HEADER, WAL_HEADER = 4096, 24, 32
# Stores its argument in slot 0 and logs it under topic 7.
RUNTIME = bytes.fromhex("5f35805f555f52600760205fa100")
CREATION = b"\x6d" + RUNTIME + bytes.fromhex("5f52600e6012f3")
CONTRACT = keccak(rlp.encode([dev_accounts()[0].address, b""]))[-20:]


def opened(directory: Path) -> Chain:
    return open_chain(directory, ChainConfig(), PyEvmBackend())


def sign(index: int, nonce: int, to: bytes | None = CONTRACT, word: int = 1, tip: int = 1) -> bytes:
    fields: dict[str, Any] = {
        "chainId": 31337, "nonce": nonce, "gas": 200_000, "value": 0,
        "data": CREATION if to is None else word.to_bytes(32, "big"),
        "maxFeePerGas": 10**12, "maxPriorityFeePerGas": tip * 10**9,
    }  # fmt: skip
    fields |= {} if to is None else {"to": to}
    return bytes(Account.sign_transaction(fields, dev_accounts()[index].key).raw_transaction)


def workload(chain: Chain, acknowledge: Callable[[bytes], object]) -> None:
    """Blocks with logs, several transactions in one, gaps, blocks that wait, time, and a revert."""
    acknowledge(chain.submit(sign(0, 0, None)))
    for nonce in (1, 2):
        acknowledge(chain.submit(sign(0, nonce, word=nonce)))
    for nonce in (2, 1, 0):
        acknowledge(chain.submit(sign(1, nonce, word=5 + nonce)))
    chain.automine = False
    acknowledge(chain.submit(sign(2, 0, tip=5)))
    acknowledge(chain.submit(sign(3, 4)))
    chain.mine(2)
    kept = chain.snapshot()
    chain.mine(3)
    chain.revert(kept)
    chain.increase_time(50)
    acknowledge(chain.submit(sign(2, 1)))
    chain.mine()


def expect_whole(directory: Path, acknowledged: list[bytes]) -> int:
    """Open the chain, replay it, look for all that was acknowledged, and go on; returns its height."""
    chain = opened(directory)
    try:
        replay(chain)
        waiting = {tx.hash for tx in chain.waiting}
        for tx_hash in acknowledged:
            assert chain.store.has_transaction(tx_hash) != (tx_hash in waiting), tx_hash.hex()
        height = chain.head.header.number
        chain.mine()
        chain.submit(sign(9, 0))
        assert chain.head.header.number == height + 2
        replay(chain)
        return height
    finally:
        chain.close()


def killed_at(statement: int, directory: Path) -> tuple[list[bytes], bool]:
    """Run the workload in a child that kills itself before its n-th SQL statement.

    Returns what it acknowledged, and whether it was killed (it is not if it had fewer statements).
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        prepare = ChainStore._prepare
        left = [statement]

        def count(_: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        def traced(store: ChainStore) -> None:
            store._sql.set_trace_callback(count)
            prepare(store)

        try:
            ChainStore._prepare = traced  # only in this child
            workload(opened(directory), lambda tx_hash: os.write(writing, tx_hash))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as acknowledged:
        received = acknowledged.read()
    _, status = os.waitpid(child, 0)
    return [received[start : start + 32] for start in range(0, len(received), 32)], os.WIFSIGNALED(status)


def test_a_process_killed_before_any_of_its_statements_loses_nothing(tmp_path: Path) -> None:
    heights: set[int] = set()
    killed, statement = True, 1
    while killed:
        directory = tmp_path / str(statement)
        acknowledged, killed = killed_at(statement, directory)
        heights.add(expect_whole(directory, acknowledged))
        shutil.rmtree(directory)
        statement += 11
    assert len(acknowledged) == 9
    assert heights >= {0, 1, 2, 3, 4, 5, 6, 9}


@pytest.fixture
def history(tmp_path: Path) -> tuple[Path, Path, list[tuple[int, bytes]]]:
    """Files of a closed chain, those of the same chain when it was open, and what was acknowledged.

    Each transaction comes with the length that the write-ahead log had then.
    """
    directory = tmp_path / "closed"
    chain = opened(directory)
    acknowledged: list[tuple[int, bytes]] = []
    log = directory / "chain.sqlite-wal"
    workload(chain, lambda tx_hash: acknowledged.append((log.stat().st_size, tx_hash)))
    copy(directory, tmp_path / "open")
    chain.close()
    return directory, tmp_path / "open", acknowledged


def copy(source: Path, target: Path) -> Path:
    target.mkdir()
    for name in ("chain.sqlite", "chain.sqlite-wal"):
        shutil.copy(source / name, target / name)
    return target


def test_a_log_cut_off_anywhere_gives_an_earlier_whole_block(
    tmp_path: Path, history: tuple[Path, Path, list[tuple[int, bytes]]]
) -> None:
    _, whole, acknowledged = history
    log = (whole / "chain.sqlite-wal").read_bytes()
    frames = range(WAL_HEADER, len(log) + 1, PAGE_BYTES + FRAME_HEADER)
    numbers = random.Random(5)
    heights: set[int] = set()
    for end in frames[3::3]:
        length = end + numbers.choice([0, 1, 30, -1, -4_000])
        cut = copy(whole, tmp_path / "cut")
        (cut / "chain.sqlite-wal").write_bytes(log[:length])
        heights.add(expect_whole(cut, [tx_hash for size, tx_hash in acknowledged if size <= length]))
        shutil.rmtree(cut)
    assert len(heights) >= 6


def test_a_damaged_log_ends_where_it_is_damaged(
    tmp_path: Path, history: tuple[Path, Path, list[tuple[int, bytes]]]
) -> None:
    _, whole, acknowledged = history
    log = (whole / "chain.sqlite-wal").read_bytes()
    for number in range(1, 10):
        place = len(log) * number // 10
        cut = copy(whole, tmp_path / str(number))
        (cut / "chain.sqlite-wal").write_bytes(log[:place] + bytes([log[place] ^ 1]) + log[place + 1 :])
        expect_whole(cut, [tx_hash for size, tx_hash in acknowledged if size <= place])


def test_a_checkpoint_that_was_broken_off_is_done_again(
    tmp_path: Path, history: tuple[Path, Path, list[tuple[int, bytes]]]
) -> None:
    closed, whole, acknowledged = history
    before, after = ((place / "chain.sqlite").read_bytes() for place in (whole, closed))
    assert len(after) > len(before)
    numbers = random.Random(6)
    for number in range(6):
        mixed = bytearray(before.ljust(len(after), b"\0"))
        for start in range(0, len(after), PAGE_BYTES):
            if numbers.random() < number / 5:
                mixed[start : start + PAGE_BYTES] = after[start : start + PAGE_BYTES]
        cut = copy(whole, tmp_path / str(number))
        (cut / "chain.sqlite").write_bytes(mixed)
        expect_whole(cut, [tx_hash for _, tx_hash in acknowledged])


def test_a_full_disk_refuses_and_the_chain_goes_on_when_there_is_room(tmp_path: Path) -> None:
    chain = opened(tmp_path)
    acknowledged = [chain.submit(sign(0, 0, None))]
    pages = chain.store._sql.execute("PRAGMA page_count").fetchone()[0]
    chain.store._sql.execute(f"PRAGMA max_page_count = {pages + 8}")
    refused = 0
    for _ in range(30):
        try:
            acknowledged.append(chain.submit(sign(0, len(acknowledged), word=len(acknowledged))))
        except StoreError:
            refused += 1
    assert 0 < refused < 30
    head = chain.head
    assert chain.waiting == ()
    chain.store._sql.execute("PRAGMA max_page_count = 100000")
    acknowledged.append(chain.submit(sign(0, len(acknowledged))))
    assert chain.head.header.parent_hash == head.hash
    chain.close()
    expect_whole(tmp_path, acknowledged)


def test_a_commit_that_fails_takes_all_back_and_the_chain_goes_on(tmp_path: Path) -> None:
    chain = opened(tmp_path)
    acknowledged = [chain.submit(sign(0, 0, None))]
    head = chain.head
    # SQLITE_TRANSACTION is 22, SQLITE_DENY 1.
    chain.store._sql.set_authorizer(lambda action, verb, *_: int(action == 22 and verb == "COMMIT"))
    for automine in (True, False):
        chain.automine = automine
        with pytest.raises(StoreError, match="could not be written"):
            chain.submit(sign(0, 1))
    chain.store._sql.set_authorizer(None)
    assert (chain.head, chain.store.head(), chain.waiting) == (head, head, ())
    chain.automine = True
    acknowledged.append(chain.submit(sign(0, 1)))
    chain.close()
    assert expect_whole(tmp_path, acknowledged) == 2


@contextmanager
def broken_off(store: ChainStore, after: int) -> Iterator[None]:
    """Let SQLite break off what it does after so many steps of its machine, each of some instructions."""
    left = [after]

    def step() -> bool:
        left[0] -= 1
        return left[0] == 0

    store._sql.set_progress_handler(step, 20)
    try:
        yield
    finally:
        store._sql.set_progress_handler(None, 0)


def test_a_branch_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    keys = {account.address: account.key for account in dev_accounts()[:2]}
    signers = tuple(sorted(keys))
    config = ChainConfig(authority=Authority(signers))
    victim, *makers = (
        open_chain(directory, config, PyEvmBackend(), key=keys[signer])
        for directory, signer in ((tmp_path, signers[0]), (None, signers[0]), (None, signers[1]))
    )
    assert isinstance(victim, SealedChain)
    waiting = victim.submit(sign(5, 0))
    victim.seal()
    before = victim.head
    branch: list[bytes] = []
    for number in range(1, 4):
        maker = makers[number % 2]
        maker.submit(sign(6, number - 1))
        maker.seal()
        stored = maker.store.transactions(number)
        branch.append(encode_block(maker.head.header, [entry.transaction for entry in stored]))
        makers[(number + 1) % 2].adopt(branch[-1:])
    failures, moved = 0, False
    while not moved:
        try:
            with broken_off(victim.store, 1 + 3 * failures):
                moved = victim.adopt(branch)
        except (StoreError, sqlite3.OperationalError):
            failures += 1
            assert victim.head == before
            assert victim.store.head() == before
            assert victim.store.has_transaction(waiting)
            assert victim.waiting == victim.store.waiting() == ()
    assert failures > 10
    assert [tx.hash for tx in victim.waiting] == [waiting]
    assert victim.head == makers[1].head
    replay(victim)
    for chain in (*makers, victim):
        chain.close()


class Program:
    """`python -m chain_devnet` on one directory, killed and started again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "chain_devnet", "--dir", str(self._directory), "--port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        found = re.search(r"http://\S+", self._process.stdout.readline())
        assert found is not None
        self.url = found.group()

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def test_clients_under_load_lose_nothing_to_kill_nine(tmp_path: Path) -> None:
    program = Program(tmp_path)
    acknowledged: list[bytes] = []
    unsure: list[bytes] = []
    numbers = random.Random(11)

    def client(index: int) -> None:
        web3 = Web3(HTTPProvider(program.url, request_kwargs={"timeout": 5}))
        address = Web3.to_checksum_address(dev_accounts()[index].address)
        try:
            nonce = web3.eth.get_transaction_count(address, "pending")
            while True:
                # Of each pair the second comes first, so that it waits behind a gap.
                for following in (nonce + 1, nonce):
                    raw = sign(index, following, b"\xaa" * 20, word=numbers.getrandbits(64))
                    try:
                        acknowledged.append(bytes(web3.eth.send_raw_transaction(raw)))
                    except Web3RPCError:
                        unsure.append(raw)  # its nonce was used by one that was killed before its answer
                nonce += 2
        except OSError:
            return

    for _ in range(3):
        end = Timer(numbers.uniform(0.4, 0.9), program.kill)
        with ThreadPoolExecutor(3) as pool:
            clients = [pool.submit(client, index) for index in range(3)]
            end.start()
            for running in clients:
                running.result()
        end.join()
        program.start()
    program.kill()
    assert len(acknowledged) > 100
    assert len(unsure) <= 2 * 3 * 3
    expect_whole(tmp_path, acknowledged)
