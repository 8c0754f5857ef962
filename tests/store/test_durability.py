"""What survives: writers that meet, and a process that is killed in the middle."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event, text

from ledgerfed.errors import StoreError
from ledgerfed.ledger.outbox_store import OutboxEntry
from ledgerfed.protocol.federation import Federation
from ledgerfed.store import Store, open_store

FEDERATION = Federation(31337, b"\x11" * 20)

_COUNT = """
import sys
from pathlib import Path
from sqlalchemy import event, text
from ledgerfed.store import open_store
store = open_store(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    with store.database.write() as connection:
        number = connection.execute(text("SELECT first_block FROM federations")).scalar()
        connection.execute(text("UPDATE federations SET first_block = :n"), {"n": number + 1})
"""

_WRITE_FOR_EVER = """
import itertools, sys
from pathlib import Path
from ledgerfed.protocol.federation import Federation
from ledgerfed.store import open_store
store = open_store(Path(sys.argv[1]))
for number in itertools.count(1):
    store.journal.record(Federation(31337, b"\\x11" * 20), 0, number, "leaf", number.to_bytes(4, "big") * 64)
    store.blobs.put(number.to_bytes(4, "big") * 4096)
    print(number, flush=True)
"""


def test_six_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        with store.database.write() as connection:
            insert = "INSERT INTO federations (chain_id, contract, first_block) VALUES (1, :c, 0)"
            connection.execute(text(insert), {"c": b"\x11" * 20})
        command = [sys.executable, "-c", _COUNT, str(tmp_path), "40"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        writers = [subprocess.Popen(command, **pipes) for _ in range(6)]
        assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * 6
        for writer in writers:
            writer.stdin.close()
        assert [writer.wait() for writer in writers] == [0] * 6
        with store.database.read() as connection:
            assert connection.execute(text("SELECT first_block FROM federations")).scalar() == 240


def test_what_was_recorded_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _WRITE_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    recorded = [int(child.stdout.readline()) for _ in range(20)]
    child.send_signal(signal.SIGKILL)
    recorded += [int(line) for line in child.stdout.read().split()]
    child.wait()
    with open_store(tmp_path) as store:
        for number in recorded:
            expected = number.to_bytes(4, "big") * 64
            assert store.journal.recall(FEDERATION, 0, number, "leaf") == expected
        for digest in store.blobs.digests():
            store.blobs.get(digest)


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    statement = text("INSERT INTO federations (chain_id, contract, first_block) VALUES (1, :c, 0)")

    def fail_halfway() -> None:
        with store.database.write() as connection:
            connection.execute(statement, {"c": b"\x11" * 20})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    with store.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM federations")).scalar() == 0


def test_a_reader_cannot_leave_a_write_behind(store: Store) -> None:
    statement = text("INSERT INTO federations (chain_id, contract, first_block) VALUES (1, :c, 0)")
    with suppress(StoreError), store.database.read() as connection:  # PostgreSQL refuses, SQLite rolls back
        connection.execute(statement, {"c": b"\x11" * 20})
    with store.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM federations")).scalar() == 0


def test_a_hash_of_another_length_is_refused_by_the_database(store: Store) -> None:
    statement = text("INSERT INTO federations (chain_id, contract, first_block) VALUES (1, :c, 0)")
    with (
        pytest.raises(StoreError, match="ck_federations_contract_length"),
        store.database.write() as connection,
    ):
        connection.execute(statement, {"c": b"\x11" * 19})


def test_the_journal_and_the_outbox_reach_the_disk_before_they_return(tmp_path: Path) -> None:
    levels: list[str] = []
    with open_store(tmp_path) as store:

        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("PRAGMA synchronous"):
                levels.append(statement.split()[-1])

        event.listen(store.database.engine, "before_cursor_execute", note)
        with store.database.write():
            pass
        store.journal.record(FEDERATION, 0, 1, "leaf", b"signed")
        entry = OutboxEntry(31337, b"\x11" * 20, 1, "seal", b"\x22" * 20, 0, b"calldata")
        store.outbox.add(entry)
        store.outbox.update(replace(entry, state="signed"), "queued")
    assert levels == ["NORMAL", "FULL", "FULL", "FULL"]


def test_the_database_stands_in_the_directory_whatever_its_name_is(tmp_path: Path) -> None:
    for name in ("what?", "50%20off", "a#b", "x:y@z"):
        with open_store(tmp_path / name) as store:
            assert store.database.is_sqlite
        assert (tmp_path / name / "ledgerfed.sqlite").is_file()
