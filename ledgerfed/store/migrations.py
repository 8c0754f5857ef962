"""Brings a database to the schema of this program, or says in one line why it cannot.

Alembic is imported only when there is something to migrate: it costs a quarter of a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from ledgerfed.errors import StoreError
from ledgerfed.store.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0003"
"""The revision that this program reads and writes."""
_VERSION_TABLE = "alembic_version"
_LOCK = 0x6C667264
_ADVISORY_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


def upgrade(database: Database) -> None:
    """Create the schema, or bring an older one up to date; two programs may do it at once.

    Raises:
        StoreError: the database was made by a newer version or by another program, or cannot be opened.
    """
    with database.read() as connection:
        if revision_of(connection) == HEAD:
            return
    with database.write(durable=True) as connection:
        _lock(connection)
        if revision_of(connection) != HEAD:
            migrate(connection, HEAD)


def migrate(connection: Connection, revision: str) -> None:
    """Walk the schema up or down to `revision` ("base" is the empty one) inside the given transaction."""
    from alembic import command

    config = alembic_config()
    config.attributes["connection"] = connection
    if revision == "base" or (revision_of(connection) or "") > revision:
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the schema, None for an empty database.

    Raises:
        StoreError: the database holds tables of another program, or a revision that this one does not know.
    """
    found = set(inspect(connection).get_table_names())
    if _VERSION_TABLE not in found:
        if found:
            raise StoreError(
                f"the database {_name(connection)} holds tables of another program "
                f"({', '.join(sorted(found)[:3])}); give ledgerfed a database of its own"
            )
        return None
    revisions = connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalars().all()
    if not revisions:
        return None
    if len(revisions) > 1 or revisions[0] not in _known_revisions():
        raise StoreError(
            f"the database {_name(connection)} has schema version {', '.join(map(str, revisions))}, "
            f"this program knows versions up to {HEAD}; use the ledgerfed that wrote it, or another database"
        )
    return str(revisions[0])


def alembic_config() -> Config:
    """Return the configuration of Alembic; there is no alembic.ini."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts_directory()).replace("%", "%%"))
    return config


def scripts_directory() -> Path:
    """Return where the migration scripts are: inside the installed package, else in the repository.

    Raises:
        StoreError: they are in neither place.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / "migrations", package.parents[1] / "migrations"):
        if (candidate / "env.py").is_file():
            return candidate
    raise StoreError(f"the migration scripts are missing beside {package}; reinstall ledgerfed")


def _known_revisions() -> set[str]:
    return {path.name.split("_")[0] for path in (scripts_directory() / "versions").glob("[0-9]*_*.py")}


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(_ADVISORY_LOCK, {"key": _LOCK})


def _name(connection: Connection) -> str:
    return connection.engine.url.render_as_string(hide_password=True)
