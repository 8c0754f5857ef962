"""Writing what the observer makes of the events, and a digest to compare two makings.

Every function works inside the caller's transaction.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeAlias

from sqlalchemy import Connection, Table, delete, insert, select, update

from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.store.records import (
    CertificateRecord,
    DisputeRecord,
    EpochRecord,
    FallenRecord,
    GenesisRecord,
    KeyRecord,
    MemberRecord,
    OwnershipRecord,
    ProposalRecord,
    ReputationRecord,
    RoundRecord,
    ScoreRecord,
    UpdateRecord,
)
from ledgerfed.store.tables import (
    PROJECTIONS,
    certificates,
    disputes,
    epochs,
    fallen,
    genesis,
    member_keys,
    members,
    ownership,
    proposals,
    reputations,
    responses,
    rounds,
    scores,
    updates,
)

Projected: TypeAlias = (
    GenesisRecord
    | MemberRecord
    | KeyRecord
    | EpochRecord
    | ProposalRecord
    | OwnershipRecord
    | DisputeRecord
    | RoundRecord
    | CertificateRecord
    | FallenRecord
    | UpdateRecord
    | ScoreRecord
    | ReputationRecord
)
_TABLES: Mapping[type[Projected], Table] = {
    GenesisRecord: genesis,
    MemberRecord: members,
    KeyRecord: member_keys,
    EpochRecord: epochs,
    ProposalRecord: proposals,
    OwnershipRecord: ownership,
    DisputeRecord: disputes,
    RoundRecord: rounds,
    CertificateRecord: certificates,
    FallenRecord: fallen,
    UpdateRecord: updates,
    ScoreRecord: scores,
    ReputationRecord: reputations,
}


def put_rows(connection: Connection, federation: int, records: Iterable[Projected]) -> None:
    """Enter rows, each in place of the one with its key."""
    for record in records:
        table, values = _TABLES[type(record)], _values(record)
        key = {c.name: values.get(c.name, federation) for c in table.primary_key.columns}
        same = [table.c[name] == value for name, value in key.items()]
        if connection.execute(update(table).where(*same).values(values)).rowcount == 0:
            connection.execute(insert(table).values(values | key))


def add_rows(connection: Connection, federation: int, records: Sequence[Projected]) -> None:
    """Enter rows that are new, of one kind or several."""
    for kind, table in _TABLES.items():
        values = [{"federation": federation} | _values(r) for r in records if isinstance(r, kind)]
        if values:
            connection.execute(insert(table), values)


def drop_outcome(connection: Connection, federation: int, round_number: int) -> None:
    """Delete what a voided certificate led to: the rows of its documents, and the round after it."""
    for table in (updates, scores, reputations):
        same = (table.c.federation == federation) & (table.c.round == round_number)
        connection.execute(delete(table).where(same))
    following = (rounds.c.federation == federation) & (rounds.c.number == round_number + 1)
    connection.execute(delete(rounds).where(following))


def drop_proposal(connection: Connection, federation: int) -> None:
    """Delete the announcement of an epoch."""
    connection.execute(delete(proposals).where(proposals.c.federation == federation))


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


def _values(record: Any) -> dict[str, object]:
    return {field.name: _stored(field.name, getattr(record, field.name)) for field in fields(record)}


def _stored(name: str, value: Any) -> object:
    if name == "measures":
        return canonical_json(value).decode()
    if name in _LISTS:
        return canonical_json({name: list(value)}).decode()
    if name in _SCORES and value is not None:
        return struct.pack(f"<{len(value)}i", *value)
    return value


_LISTS = ("windows", "committee", "nodes")
_SCORES = ("scores", "heard")
