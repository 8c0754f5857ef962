"""One database, SQLite or PostgreSQL, with one way to read and one way to write.

SQLite runs in write-ahead mode and a writer begins IMMEDIATE: a deferred transaction that upgrades cannot
wait and loses its work when two writers meet. `synchronous` is NORMAL, which survives the death of the
process; durable transactions raise it to FULL, which survives the loss of power too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from ledgerfed.errors import StoreError

BUSY_MILLISECONDS = 30_000
_POOL = {"pool_size": 8, "max_overflow": 40}  # a FastAPI thread pool has 40 threads


def sqlite_url(path: Path) -> URL:
    """Return the URL of a SQLite file; as text, a `?` or `%` in the path would mean something else."""
    return URL.create("sqlite", database=str(path))


class Database:
    """An engine and its transactions. Safe to share between threads; not across a fork."""

    def __init__(self, url: str | URL) -> None:
        """Prepare the engine; nothing is opened yet.

        Raises:
            StoreError: the URL is not one, names another engine, or its driver is not installed.
        """
        self.engine = _engine(url)

    @property
    def is_sqlite(self) -> bool:
        """Whether the engine is SQLite (else PostgreSQL)."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection on one snapshot; whatever it writes is refused or rolled back."""
        options = {"readonly": True} if self.is_sqlite else _POSTGRES_READ
        with _explained(self.engine), self.engine.connect() as connection:
            connection = connection.execution_options(**options)
            with connection.begin() as transaction:
                yield connection
                transaction.rollback()

    @contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Connection]:
        """Yield a connection in a transaction that commits at the end, or rolls back on any exception.

        `durable`: the commit survives a power failure, not just the death of the process.
        """
        with _explained(self.engine), self.engine.connect() as connection:
            connection = connection.execution_options(durable=durable)
            with connection.begin():
                yield connection

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """Yield a connection without a transaction, for locks that outlive statements (PostgreSQL)."""
        with _explained(self.engine), self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def insert_new(connection: Connection, table: Table, values: Mapping[str, object]) -> bool:
    """Insert a row unless one with its key stands there already; return whether it was inserted."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values(values).on_conflict_do_nothing()
    return connection.execute(statement.returning(*table.primary_key.columns)).first() is not None


_POSTGRES_READ = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def _engine(url: str | URL) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
            raise StoreError(f"the database {parsed.drivername} is not supported; use sqlite or postgresql")
        engine = create_engine(parsed, **_POOL)
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreError(
            f"{url!r} is not a database URL; write sqlite:///path or postgresql://host/name"
        ) from error
    except ImportError as error:
        raise StoreError("PostgreSQL needs its driver: pip install 'psycopg[binary]'") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # BEGIN is ours, see _begin_sqlite
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("readonly"):
        connection.exec_driver_sql("BEGIN")
        return
    level = "FULL" if options.get("durable") else "NORMAL"
    connection.exec_driver_sql(f"PRAGMA synchronous = {level}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    """Turn what the driver says into one line."""
    try:
        yield
    except DBAPIError as error:
        cause = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
        where = engine.url.render_as_string(hide_password=True)
        raise StoreError(f"the database {where} refused: {cause[0]}") from error
    except PoolTimeoutError as error:
        raise StoreError("the database is busy: every connection is in use; try again") from error
