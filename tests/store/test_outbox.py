from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ledgerfed.errors import ConflictError
from ledgerfed.ledger.outbox_store import OutboxEntry, OutboxState, OutboxStore
from ledgerfed.store import Store, open_store

SENDER, CONTRACT = b"\x22" * 20, b"\x11" * 20
QUEUED = OutboxEntry(31337, CONTRACT, 1, "seal", SENDER, 0, b"calldata")
KEY = (31337, CONTRACT, 1, "seal", SENDER)


def _signed(entry: OutboxEntry, nonce: int) -> OutboxEntry:
    return replace(entry, state=OutboxState.SIGNED, nonce=nonce, raw=b"raw", tx_hash=bytes([nonce]) * 32)


def _same(left: object, right: object) -> bool:
    return all(getattr(left, name) == getattr(right, name) for name in OutboxEntry.__slots__)


def test_the_outbox_is_what_the_ledger_asks_for(store: Store) -> None:
    outbox: OutboxStore = store.outbox
    outbox.add(QUEUED)
    assert _same(outbox.latest(*KEY), QUEUED)


def test_the_latest_attempt_is_returned(store: Store) -> None:
    assert store.outbox.latest(*KEY) is None
    for attempt in (0, 1, 2):
        store.outbox.add(replace(QUEUED, attempt=attempt))
    latest = store.outbox.latest(*KEY)
    assert latest is not None
    assert latest.attempt == 2


def test_the_same_key_and_attempt_cannot_be_queued_twice(store: Store) -> None:
    store.outbox.add(QUEUED)
    with pytest.raises(ConflictError, match=r"seal of round 1 by 0x2222.*attempt 0 is in the outbox already"):
        store.outbox.add(replace(QUEUED, data=b"other"))
    assert _same(store.outbox.latest(*KEY), QUEUED)


def test_an_update_needs_the_state_that_it_expects(store: Store) -> None:
    store.outbox.add(QUEUED)
    signed = _signed(QUEUED, 7)
    store.outbox.update(signed, OutboxState.QUEUED)
    assert _same(store.outbox.latest(*KEY), signed)
    with pytest.raises(ConflictError, match="is signed, expected queued"):
        store.outbox.update(_signed(QUEUED, 8), OutboxState.QUEUED)
    with pytest.raises(ConflictError, match="not in the outbox"):
        store.outbox.update(replace(signed, round_number=2), OutboxState.SIGNED)
    assert _same(store.outbox.latest(*KEY), signed)


def test_rows_in_flight_come_by_nonce_and_leave_when_mined(store: Store) -> None:
    for number, nonce in ((1, 9), (2, 7), (3, 8)):
        entry = replace(QUEUED, round_number=number)
        store.outbox.add(entry)
        store.outbox.update(_signed(entry, nonce), OutboxState.QUEUED)
    store.outbox.add(replace(QUEUED, round_number=4))
    store.outbox.add(_signed(replace(QUEUED, sender=b"\x33" * 20), 1))
    assert [row.nonce for row in store.outbox.in_flight(31337, SENDER)] == [7, 8, 9]
    mined = replace(
        _signed(replace(QUEUED, round_number=2), 7),
        state=OutboxState.MINED,
        block_number=5,
        block_hash=bytes(32),
        gas_used=57_459,
    )
    store.outbox.update(mined, OutboxState.SIGNED)
    assert [row.nonce for row in store.outbox.in_flight(31337, SENDER)] == [8, 9]


def test_one_writer_of_a_sender_at_a_time_and_it_may_use_the_outbox(store: Store) -> None:
    inside, most = 0, 0
    guard = threading.Lock()

    def write(number: int) -> None:
        nonlocal inside, most
        with store.outbox.exclusive(31337, SENDER):
            with guard:
                inside += 1
                most = max(most, inside)
            store.outbox.add(replace(QUEUED, round_number=number))
            time.sleep(0.01)
            with guard:
                inside -= 1

    threads = [threading.Thread(target=write, args=(n,)) for n in range(1, 6)]
    for thread in threads:
        thread.start()
    with store.outbox.exclusive(31337, b"\x33" * 20):  # another sender is not held off
        for thread in threads:
            thread.join(timeout=20)
    assert most == 1
    assert all(store.outbox.latest(31337, CONTRACT, n, "seal", SENDER) for n in range(1, 6))


_CHILD = """
import sys, time
from pathlib import Path
from ledgerfed.store import open_store
store = open_store(Path(sys.argv[1]), sys.argv[2])
with store.outbox.exclusive(31337, b"\\x22" * 20):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_is_held_off_until_it_dies(database_url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _CHILD, str(tmp_path / "store"), database_url]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    entered = threading.Event()
    with open_store(tmp_path / "store", database_url) as store:

        def enter() -> None:
            with store.outbox.exclusive(31337, SENDER):
                entered.set()

        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "held\n"
            waiting = threading.Thread(target=enter)
            waiting.start()
            assert not entered.wait(0.3)
        finally:
            child.kill()
            child.wait()
        assert entered.wait(10)
        waiting.join()
