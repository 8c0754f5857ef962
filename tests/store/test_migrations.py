"""The schema: made, unmade and made again on both engines, and nothing else accepted in its place."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, inspect, text

from ledgerfed.errors import StoreError
from ledgerfed.store import open_store
from ledgerfed.store.database import Database
from ledgerfed.store.migrations import HEAD, alembic_config, migrate, revision_of, upgrade
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
