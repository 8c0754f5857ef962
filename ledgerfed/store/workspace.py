"""A store: one directory with blobs and locks, and the database, inside it or elsewhere."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from ledgerfed.errors import StoreError
from ledgerfed.store.blobs import BlobStore
from ledgerfed.store.database import Database, sqlite_url
from ledgerfed.store.journal import Journal
from ledgerfed.store.migrations import upgrade
from ledgerfed.store.outbox import Outbox

DATABASE_FILE = "ledgerfed.sqlite"


class Store:
    """All that a program of ledgerfed keeps: `database`, `blobs`, `outbox`, `journal`, under `directory`."""

    def __init__(self, directory: Path, database: Database) -> None:
        self.directory = directory
        self.database = database
        self.blobs = BlobStore(directory / "blobs")
        self.outbox = Outbox(database, directory / "locks")
        self.journal = Journal(database)

    def close(self) -> None:
        """Close the database; the store is not usable afterwards."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_store(directory: Path, database_url: str | None = None) -> Store:
    """Open the store under `directory`, made when it is not there, its schema brought up to date.

    `database_url` is `sqlite:///path` or `postgresql://user@host/name`; by default a file in the directory.

    Raises:
        StoreError: the directory cannot be made, or the database is of another version, another program's,
            not reachable or not a database at all.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the directory {directory} cannot be made: {error.strerror}; choose another"
        ) from error
    database = Database(database_url or sqlite_url(directory / DATABASE_FILE))
    try:
        upgrade(database)
        return Store(directory, database)
    except BaseException:
        database.close()
        raise
