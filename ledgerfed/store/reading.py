"""Reading the projections, a page at a time; every function works inside the caller's transaction.

A page is asked for by the key after which it starts (keyset), never by an offset.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from sqlalchemy import Connection, Row, Select, case, column, func, select, table, tuple_

from ledgerfed.protocol.transcript import Phase
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
    TrailRecord,
    UpdateRecord,
)
from ledgerfed.store.tables import (
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
    rounds,
    scores,
    updates,
)

_TRAIL_COLUMNS = (
    "block_number",
    "log_index",
    "block_hash",
    "tx_hash",
    "kind",
    "round",
    "arguments",
    "timestamp",
    "canonical",
)
_trail = table("audit_trail", column("federation"), *(column(name) for name in _TRAIL_COLUMNS))


def read_genesis(connection: Connection, federation: int) -> GenesisRecord | None:
    """Return what a federation started from, None until its Genesis event was indexed."""
    row = connection.execute(select(genesis).where(genesis.c.federation == federation)).one_or_none()
    if row is None:
        return None
    return GenesisRecord(**_listed(row, "windows", "committee"))


def read_members(connection: Connection, federation: int) -> list[MemberRecord]:
    """Return the registry in index order, with the nodes that left."""
    query = select(members).where(members.c.federation == federation).order_by(members.c.node)
    return [MemberRecord(**_plain(row)) for row in connection.execute(query)]


def read_round(connection: Connection, federation: int, number: int) -> RoundRecord | None:
    """Return a round, or None."""
    return _one_round(connection, _rounds(federation).where(rounds.c.number == number))


def read_head(connection: Connection, federation: int) -> RoundRecord | None:
    """Return the newest round, which is still going on; None before genesis."""
    return _one_round(connection, _rounds(federation).order_by(rounds.c.number.desc()).limit(1))


def read_final_round(
    connection: Connection, federation: int, finalized: int, challenge_window: int
) -> RoundRecord | None:
    """Return the newest round whose end no block after `finalized` can change, or None."""
    open_for = case((rounds.c.phase == int(Phase.CERTIFIED), challenge_window), else_=0)
    query = _rounds(federation).where(rounds.c.ended_block + open_for <= finalized)
    return _one_round(connection, query.order_by(rounds.c.number.desc()).limit(1))


def read_round_by_transcript(
    connection: Connection, federation: int, transcript: bytes
) -> RoundRecord | None:
    """Return the round whose last transcript this is, or None; the next round opens with the same one."""
    query = _rounds(federation).where(rounds.c.transcript == transcript)
    return _one_round(connection, query.order_by(rounds.c.number).limit(1))


def read_round_by_model(connection: Connection, federation: int, model: bytes) -> RoundRecord | None:
    """Return the first round that left this model, or None."""
    query = _rounds(federation).where(rounds.c.model == model)
    return _one_round(connection, query.order_by(rounds.c.number).limit(1))


def read_rounds(
    connection: Connection, federation: int, *, after: int | None, limit: int, phase: int | None = None
) -> list[RoundRecord]:
    """Return up to `limit` rounds below number `after` (None: from the newest), newest first."""
    query = _rounds(federation).order_by(rounds.c.number.desc()).limit(limit)
    if after is not None:
        query = query.where(rounds.c.number < after)
    if phase is not None:
        query = query.where(rounds.c.phase == phase)
    return [RoundRecord(**_plain(row)) for row in connection.execute(query)]


def count_rounds(connection: Connection, federation: int) -> tuple[int, int, int]:
    """Return (first number, last number, count) of the rounds; zeros before genesis."""
    c = rounds.c
    query = select(func.min(c.number), func.max(c.number), func.count()).where(c.federation == federation)
    first, last, count = connection.execute(query).one()
    return first or 0, last or 0, count


def unfinished_rounds(connection: Connection, federation: int) -> list[RoundRecord]:
    """Return the certified rounds whose documents were not found yet, oldest first."""
    query = _rounds(federation).where(rounds.c.manifest.is_not(None), ~rounds.c.unfolded)
    return [RoundRecord(**_plain(row)) for row in connection.execute(query.order_by(rounds.c.number))]


def read_fallen(connection: Connection, federation: int, round_number: int) -> list[FallenRecord]:
    """Return the certificates of a round that disputes voided, oldest first."""
    c = fallen.c
    query = select(fallen).where(c.federation == federation, c.round == round_number).order_by(c.attempt)
    return [FallenRecord(**_plain(row)) for row in connection.execute(query)]


def fallen_without_evidence(connection: Connection, federation: int) -> list[FallenRecord]:
    """Return the voided certificates whose manifest was not found yet."""
    query = select(fallen).where(fallen.c.federation == federation, fallen.c.evidence.is_(None))
    rows = connection.execute(query.order_by(fallen.c.round, fallen.c.attempt))
    return [FallenRecord(**_plain(row)) for row in rows]


def read_keys(connection: Connection, federation: int, node: int | None = None) -> list[KeyRecord]:
    """Return the keys of a node, or of all, by registry index and epoch."""
    c = member_keys.c
    query = select(member_keys).where(c.federation == federation).order_by(c.node, c.epoch)
    if node is not None:
        query = query.where(c.node == node)
    return [KeyRecord(**_plain(row)) for row in connection.execute(query)]


def read_epoch(connection: Connection, federation: int, number: int | None = None) -> EpochRecord | None:
    """Return an epoch, by default the present one; None when there is none."""
    query = select(epochs).where(epochs.c.federation == federation)
    if number is not None:
        query = query.where(epochs.c.number == number)
    row = connection.execute(query.order_by(epochs.c.number.desc()).limit(1)).one_or_none()
    return None if row is None else _epoch(row)


def read_epochs(
    connection: Connection, federation: int, *, after: int | None, limit: int
) -> list[EpochRecord]:
    """Return up to `limit` epochs below number `after` (None: from the newest), newest first."""
    query = select(epochs).where(epochs.c.federation == federation)
    if after is not None:
        query = query.where(epochs.c.number < after)
    rows = connection.execute(query.order_by(epochs.c.number.desc()).limit(limit))
    return [_epoch(row) for row in rows]


def read_proposal(connection: Connection, federation: int) -> ProposalRecord | None:
    """Return what is announced for the next epoch, or None."""
    row = connection.execute(select(proposals).where(proposals.c.federation == federation)).one_or_none()
    return None if row is None else ProposalRecord(**_plain(row))


def read_ownership(connection: Connection, federation: int) -> OwnershipRecord | None:
    """Return who owns a federation, None when its contract knows no owner."""
    row = connection.execute(select(ownership).where(ownership.c.federation == federation)).one_or_none()
    return None if row is None else OwnershipRecord(**_plain(row))


def read_disputes(
    connection: Connection,
    federation: int,
    *,
    after: int = 0,
    limit: int | None = None,
    round_number: int | None = None,
) -> list[DisputeRecord]:
    """Return up to `limit` disputes behind number `after`, oldest first."""
    c = disputes.c
    query = select(disputes).where(c.federation == federation, c.number > after)
    if round_number is not None:
        query = query.where(c.round == round_number)
    rows = connection.execute(query.order_by(c.number).limit(limit))
    return [DisputeRecord(**_listed(row, "nodes")) for row in rows]


def count_disputes(connection: Connection, federation: int) -> int:
    """Return how many disputes there were."""
    query = select(func.count()).where(disputes.c.federation == federation)
    return int(connection.execute(query).scalar_one())


def read_updates(
    connection: Connection,
    federation: int,
    round_number: int,
    *,
    after: int = -1,
    limit: int | None = None,
    reason: str | None = None,
) -> list[UpdateRecord]:
    """Return the updates of a round in registry order, behind index `after`."""
    c = updates.c
    query = select(updates).where(c.federation == federation, c.round == round_number, c.node > after)
    if reason is not None:
        query = query.where(c.reason == reason)
    return [_update(row) for row in connection.execute(query.order_by(c.node).limit(limit))]


def read_scores(connection: Connection, federation: int, round_number: int) -> list[ScoreRecord]:
    """Return the score commitments of a round, with what was revealed, in committee order."""
    c = scores.c
    query = select(scores).where(c.federation == federation, c.round == round_number).order_by(c.validator)
    return [_score(row) for row in connection.execute(query)]


def read_certificate(
    connection: Connection, federation: int, round_number: int, attempt: int
) -> list[CertificateRecord]:
    """Return the signatures that certified an attempt of a round, in committee order."""
    c = certificates.c
    key = (c.federation == federation, c.round == round_number, c.attempt == attempt)
    query = select(certificates).where(*key)
    return [CertificateRecord(**_plain(row)) for row in connection.execute(query.order_by(c.validator))]


def read_reputations(connection: Connection, federation: int, round_number: int) -> list[ReputationRecord]:
    """Return the reputations of all nodes after a round, in registry order."""
    c = reputations.c
    query = select(reputations).where(c.federation == federation, c.round == round_number)
    return [ReputationRecord(**_plain(row)) for row in connection.execute(query.order_by(c.node))]


def read_reputation_history(
    connection: Connection, federation: int, node: int, *, first: int, last: int, limit: int
) -> list[ReputationRecord]:
    """Return up to `limit` reputations of a node after rounds `first` to `last`, oldest first."""
    c = reputations.c
    query = select(reputations).where(
        c.federation == federation, c.node == node, c.round.between(first, last)
    )
    return [
        ReputationRecord(**_plain(row)) for row in connection.execute(query.order_by(c.round).limit(limit))
    ]


def last_reputation_round(connection: Connection, federation: int, up_to: int) -> int | None:
    """Return the newest round, at most `up_to`, that left reputations; aborted rounds leave none."""
    c = reputations.c
    query = select(func.max(c.round)).where(c.federation == federation, c.round <= up_to)
    return connection.execute(query).scalar()


def read_trail(
    connection: Connection,
    federation: int,
    *,
    after: tuple[int, bytes, int] | None,
    limit: int,
    kind: str | None = None,
    round_number: int | None = None,
) -> list[TrailRecord]:
    """Return up to `limit` events behind the key (block number, block hash, log index), oldest first."""
    c = _trail.c
    key = (c.block_number, c.block_hash, c.log_index)
    query = select(*(c[name] for name in _TRAIL_COLUMNS)).where(c.federation == federation)
    if after is not None:
        query = query.where(tuple_(*key) > tuple_(*after))
    if kind is not None:
        query = query.where(c.kind == kind)
    if round_number is not None:
        query = query.where(c.round == round_number)
    return [_event(row) for row in connection.execute(query.order_by(*key).limit(limit))]


def _rounds(federation: int) -> Select[Any]:
    return select(rounds).where(rounds.c.federation == federation)


def _one_round(connection: Connection, query: Select[Any]) -> RoundRecord | None:
    row = connection.execute(query).one_or_none()
    return None if row is None else RoundRecord(**_plain(row))


def _plain(row: Row[Any]) -> dict[str, Any]:
    return {name: value for name, value in row._mapping.items() if name != "federation"}


def _epoch(row: Row[Any]) -> EpochRecord:
    return EpochRecord(**_listed(row, "committee"))


def _update(row: Row[Any]) -> UpdateRecord:
    values = _plain(row)
    measures, heard = json.loads(values["measures"]), _vector(values["heard"])
    return UpdateRecord(**values | {"measures": measures, "heard": heard})


def _score(row: Row[Any]) -> ScoreRecord:
    values = _plain(row)
    data = values["scores"]
    return ScoreRecord(**values | {"scores": None if data is None else _vector(data)})


def _vector(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // 4}i", data)


def _listed(row: Row[Any], *names: str) -> dict[str, Any]:
    """Return the values of a row with the lists that some columns hold."""
    values = _plain(row)
    return values | {name: tuple(json.loads(values[name])[name]) for name in names}


def _event(row: Row[Any]) -> TrailRecord:
    values = _plain(row)
    return TrailRecord(
        **values | {"arguments": json.loads(values["arguments"]), "canonical": bool(values["canonical"])}
    )
