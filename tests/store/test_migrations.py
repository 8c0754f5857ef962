"""The schema: made, unmade and made again on both engines, and nothing else accepted in its place."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import asdict
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Connection, MetaData, Table, inspect, text

from ledgerfed.errors import StoreError
from ledgerfed.store import open_store
from ledgerfed.store.database import Database
from ledgerfed.store.migrations import HEAD, alembic_config, migrate, revision_of, upgrade
from ledgerfed.store.reading import (
    read_certificate,
    read_epoch,
    read_genesis,
    read_keys,
    read_members,
    read_ownership,
    read_round,
    read_updates,
)
from ledgerfed.store.records import CertificateRecord, KeyRecord, MemberRecord
from ledgerfed.store.tables import metadata


@pytest.fixture
def database(database_url: str):
    opened = Database(database_url)
    yield opened
    opened.close()


def test_the_schema_goes_up_and_down_and_up_again(database: Database) -> None:
    upgrade(database)
    with database.write() as connection:
        migrate(connection, "base")
    with database.read() as connection:
        assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
        assert revision_of(connection) is None
    upgrade(database)
    with database.read() as connection:
        assert revision_of(connection) == HEAD
        assert "audit_trail" in inspect(connection).get_view_names()


def test_the_migrations_make_exactly_the_tables_of_the_code(database: Database) -> None:
    upgrade(database)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_checks_of_the_code_are_in_the_database(database: Database) -> None:
    upgrade(database)
    with database.read() as connection:
        for table in metadata.sorted_tables:
            checks = [check for column in table.columns for check in column.constraints]
            declared = {check.name for check in checks if isinstance(check, CheckConstraint)}
            found = {c["name"] for c in inspect(connection).get_check_constraints(table.name)}
            assert declared == found


def test_the_revision_of_the_code_is_the_newest_script() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == HEAD


def test_a_newer_schema_is_refused_in_one_line(database: Database, database_url: str, tmp_path: Path) -> None:
    upgrade(database)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="schema version 9999") as caught:
        open_store(tmp_path / "w", database_url)
    assert "\n" not in str(caught.value)


def test_the_tables_of_another_program_are_refused_and_kept(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    with database.write() as connection:
        connection.execute(text("CREATE TABLE invoices (id INTEGER)"))
    with pytest.raises(StoreError, match=r"another program \(invoices\)"):
        open_store(tmp_path / "w", database_url)
    with database.read() as connection:
        assert inspect(connection).get_table_names() == ["invoices"]


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledgerfed.sqlite"
    path.write_bytes(b"These are my holiday pictures, not a database." * 50)
    with pytest.raises(StoreError, match="file is not a database"):
        open_store(tmp_path)
    assert path.read_bytes().startswith(b"These are my holiday pictures")


def test_a_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match="choose another"):
        open_store(tmp_path / "taken" / "inner")


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/name", "postgresql://nobody@127.0.0.1:1/none"])
def test_a_database_url_that_leads_nowhere_is_one_clear_error(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path, url)
    assert "\n" not in str(caught.value)


def test_two_programs_may_open_a_new_store_at_once(database_url: str, tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def opening() -> None:
        try:
            open_store(tmp_path / "w", database_url).close()
        except BaseException as error:  # noqa: BLE001 - carried to the main thread
            failures.append(error)

    threads = [threading.Thread(target=opening) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_sqlite_runs_in_write_ahead_mode_with_foreign_keys(tmp_path: Path) -> None:
    with open_store(tmp_path) as store, store.database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    assert sqlite3.connect(tmp_path / "ledgerfed.sqlite").execute("PRAGMA integrity_check").fetchone() == (
        "ok",
    )


_OLD = {
    "federations": {"id": 1, "chain_id": 31337, "contract": b"c" * 20, "first_block": 3},
    "genesis": {
        "federation": 1,
        "config_hash": b"a" * 32,
        "registry_hash": b"b" * 32,
        "model": b"m" * 32,
        "reputation_root": b"r" * 32,
        "transcript": b"t" * 32,
        "committee": 3,
        "depth": 2,
        "windows": '{"windows":[6,3,6,6,2]}',
        "min_updates": 1,
        "block": 3,
        "unfolded": True,
    },
    "members": {"federation": 1, "node": 2, "address": b"n" * 20, "epoch": 0},
    "rounds": {
        "federation": 1,
        "number": 1,
        "phase": 3,
        "opened_at": b"t" * 32,
        "base_model": b"m" * 32,
        "opened_block": 3,
        "window_end": 9,
        "root": b"x" * 32,
        "n": 2,
        "sealed_block": 4,
        "forced": 1,
        "score_root": b"s" * 32,
        "scored_block": 5,
        "manifest": b"f" * 32,
        "evidence": b"e" * 32,
        "model": b"q" * 32,
        "reputation_root": b"p" * 32,
        "ended_block": 6,
        "aborted_in": None,
        "transcript": b"u" * 32,
        "unfolded": True,
    },
    "certificates": {"federation": 1, "round": 1, "validator": 2, "signature": b"g" * 65},
    "updates": {
        "federation": 1,
        "round": 1,
        "node": 2,
        "leaf": b"l" * 32,
        "forced": True,
        "deadline": None,
        "signature": None,
        "base_model": b"m" * 32,
        "update_hash": b"h" * 32,
        "n_samples": 60,
        "schema": b"i" * 32,
        "salt": b"j" * 32,
        "reason": "admitted",
        "score": -7,
        "weight": 65536,
        "measures": '{"distance":7}',
    },
    "outbox": {
        "chain_id": 31337,
        "contract": b"c" * 20,
        "round_number": 1,
        "kind": "seal",
        "sender": b"n" * 20,
        "attempt": 0,
        "data": b"calldata",
        "state": "queued",
    },
}


def _insert(connection: Connection, name: str, values: dict[str, object]) -> None:
    reflected = Table(name, MetaData(), autoload_with=connection)
    connection.execute(reflected.insert().values(values))


def _rows(connection: Connection, name: str) -> list[dict[str, object]]:
    reflected = Table(name, MetaData(), autoload_with=connection)
    return [dict(row) for row in connection.execute(reflected.select()).mappings()]


def test_a_database_of_the_first_schema_keeps_what_it_held(database: Database) -> None:
    with database.write() as connection:
        migrate(connection, "0001")
        for name, values in _OLD.items():
            _insert(connection, name, values)
        before = {name: _rows(connection, name) for name in _OLD}
    upgrade(database)
    with database.read() as connection:
        start, epoch = read_genesis(connection, 1), read_epoch(connection, 1)
        assert start is not None
        assert epoch is not None
        assert (start.committee, start.leaves_on_chain, start.unfolded) == ((0, 1, 2), False, True)
        assert start.windows == (6, 3, 6, 6, 2)
        assert (epoch.number, epoch.first_round, epoch.block, epoch.removed) == (0, 1, 3, 0)
        assert (epoch.committee, epoch.config_hash, epoch.min_updates) == ((0, 1, 2), b"a" * 32, 1)
        assert (epoch.transcript, epoch.change) == (b"t" * 32, None)
        assert read_members(connection, 1) == [MemberRecord(2, b"n" * 20, 0)]
        assert read_keys(connection, 1) == [KeyRecord(2, 0, b"n" * 20)]
        ended = read_round(connection, 1, 1)
        assert ended is not None
        old = {name: value for name, value in _OLD["rounds"].items() if name != "federation"}
        assert asdict(ended) == old | {"epoch": 0, "attempt": 0}
        assert read_certificate(connection, 1, 1, 0) == [CertificateRecord(1, 0, 2, b"g" * 65)]
        (update,) = read_updates(connection, 1, 1)
        assert (update.score, update.forced, update.measures, update.heard) == (-7, True, {"distance": 7}, ())
        assert (update.update_hash, update.salt) == (b"h" * 32, b"j" * 32)
        assert read_ownership(connection, 1) is None
    with database.write() as connection:
        migrate(connection, "0001")
        assert {name: _rows(connection, name) for name in _OLD} == before


def test_going_back_keeps_the_certificate_that_stands(database: Database) -> None:
    upgrade(database)
    with database.write() as connection:
        _insert(connection, "federations", _OLD["federations"])
        _insert(connection, "rounds", _OLD["rounds"] | {"epoch": 0, "attempt": 1})
        for attempt, letter in enumerate((b"v", b"g")):
            values = {"attempt": attempt, "signature": letter * 65}
            _insert(connection, "certificates", _OLD["certificates"] | values)
        migrate(connection, "0001")
        assert _rows(connection, "certificates") == [_OLD["certificates"]]
