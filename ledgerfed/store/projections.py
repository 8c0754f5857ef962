"""Writing what the observer makes of the events, and a digest to compare two makings.

Every function works inside the caller's transaction.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, delete, insert, select, update

from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.store.records import (
    CertificateRecord,
    GenesisRecord,
    MemberRecord,
    ReputationRecord,
    RoundRecord,
    ScoreRecord,
    UpdateRecord,
)
from ledgerfed.store.tables import (
    PROJECTIONS,
    certificates,
    genesis,
    members,
    reputations,
    responses,
    rounds,
    scores,
    updates,
)

Part = MemberRecord | CertificateRecord | UpdateRecord | ScoreRecord | ReputationRecord
_TABLES: Mapping[type[Part], Table] = {
    MemberRecord: members,
    CertificateRecord: certificates,
    UpdateRecord: updates,
    ScoreRecord: scores,
    ReputationRecord: reputations,
}
_P = TypeVar("_P", bound=Part)


def put_genesis(connection: Connection, federation: int, record: GenesisRecord) -> None:
    """Enter what a federation started from, or replace it."""
    _put(connection, genesis, {"federation": federation}, _values(record))


def put_round(connection: Connection, federation: int, record: RoundRecord) -> None:
    """Enter a round, or replace it."""
    _put(connection, rounds, {"federation": federation, "number": record.number}, _values(record))


def add_parts(connection: Connection, federation: int, records: Sequence[Part]) -> None:
    """Enter members, certificates, updates, scores or reputations; one kind or several."""
    for kind, table in _TABLES.items():
        values = [{"federation": federation} | _values(r) for r in records if isinstance(r, kind)]
        if values:
            connection.execute(insert(table), values)


def clear_projections(connection: Connection, federation: int) -> None:
    """Delete all that `PROJECTIONS` hold of a federation, and the responses that were made of it."""
    for table in (*PROJECTIONS, responses):
        connection.execute(delete(table).where(table.c.federation == federation))


def projected_rows(connection: Connection, federation: int) -> Iterator[tuple[str, bytes]]:
    """Yield every projected row of a federation as (name, canonical bytes), in one order on every engine.

    A name is the table and the key, like `updates round=2 node=1`.
    """
    for table in PROJECTIONS:
        columns = [c for c in table.columns if c.name != "federation"]
        keys = [c for c in table.primary_key.columns if c.name != "federation"]
        query = select(*columns).where(table.c.federation == federation).order_by(*keys)
        for row in connection.execute(query).mappings():
            key = "".join(f" {c.name}={row[c.name]}" for c in keys)
            plain = {k: v.hex() if isinstance(v, bytes) else v for k, v in row.items()}
            yield table.name + key, canonical_json(plain)


def projection_digest(connection: Connection, federation: int) -> bytes:
    """Return the SHA-256 of every projected row of a federation; the same on every engine."""
    digest = hashlib.sha256()
    for name, row in projected_rows(connection, federation):
        digest.update(name.encode() + b" " + row + b"\n")
    return digest.digest()


def _put(
    connection: Connection, table: Table, key: Mapping[str, object], values: Mapping[str, object]
) -> None:
    same = [table.c[name] == value for name, value in key.items()]
    if connection.execute(update(table).where(*same).values(values)).rowcount == 0:
        connection.execute(insert(table).values({**key, **values}))


def _values(record: Any) -> dict[str, object]:
    return {field.name: _stored(field.name, getattr(record, field.name)) for field in fields(record)}


def _stored(name: str, value: Any) -> object:
    if name == "measures":
        return canonical_json(value).decode()
    if name == "windows":
        return canonical_json({"windows": list(value)}).decode()
    if name == "scores" and value is not None:
        return struct.pack(f"<{len(value)}i", *value)
    return value
