"""The tables of the index, as SQLAlchemy metadata; `migrations/` builds the same on SQLite and PostgreSQL.

Rules:
- hashes are 32 bytes and addresses 20 bytes, held to it by CHECK; integers are 64 bits wide;
- `chain_events` and `journal` are append-only, held to it by triggers (see the first migration);
- `PROJECTIONS` are a pure function of canonical chain events and blobs, deleted and made again at will.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _bytes(length: int) -> Callable[..., Column[bytes]]:
    """Return a column maker for values of exactly `length` bytes."""

    def make(name: str, *, primary_key: bool = False, nullable: bool = False) -> Column[bytes]:
        check = CheckConstraint(f"length({name}) = {length}", name=f"{name}_length")
        return Column(
            name, LargeBinary, check, primary_key=primary_key, nullable=nullable and not primary_key
        )

    return make


_hash = _bytes(32)
_address = _bytes(20)
_signature = _bytes(65)


def _integer(name: str, *, primary_key: bool = False, nullable: bool = False) -> Column[int]:
    return Column(
        name, BigInteger, primary_key=primary_key, nullable=nullable and not primary_key, autoincrement=False
    )


def _federation(*, primary_key: bool = True) -> Column[int]:
    return Column(
        "federation", Integer, ForeignKey("federations.id"), primary_key=primary_key, nullable=False
    )


federations = Table(
    "federations",
    metadata,
    Column("id", Integer, primary_key=True),
    _integer("chain_id"),
    _address("contract"),
    _integer("first_block"),
    UniqueConstraint("chain_id", "contract"),
)

blocks = Table(
    "blocks",
    metadata,
    _federation(),
    _hash("hash", primary_key=True),
    _integer("number"),
    _hash("parent_hash"),
    _integer("timestamp"),
    Column("canonical", Boolean, nullable=False),
    Index(None, "federation", "number"),
)

chain_events = Table(
    "chain_events",
    metadata,
    Column("federation", Integer, primary_key=True, autoincrement=False),
    _hash("block_hash", primary_key=True),
    _integer("log_index", primary_key=True),
    _hash("tx_hash"),
    Column("kind", String(32), nullable=False),
    _integer("round"),
    Column("arguments", Text, nullable=False),
    ForeignKeyConstraint(["federation", "block_hash"], ["blocks.federation", "blocks.hash"]),
    Index(None, "federation", "round"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    _federation(),
    _integer("number"),
    _hash("hash"),
    _integer("finalized"),
    _integer("head"),
    Column("trouble", Text),
)

genesis = Table(
    "genesis",
    metadata,
    _federation(),
    _hash("config_hash"),
    _hash("registry_hash"),
    _hash("model"),
    _hash("reputation_root"),
    _hash("transcript"),
    Column("committee", Text, nullable=False),
    _integer("depth"),
    Column("windows", Text, nullable=False),
    _integer("min_updates"),
    _integer("block"),
    Column("leaves_on_chain", Boolean, nullable=False),
    Column("unfolded", Boolean, nullable=False),
)

members = Table(
    "members",
    metadata,
    _federation(),
    _integer("node", primary_key=True),
    _address("address"),
    _integer("joined"),
    _integer("left", nullable=True),
    Column("removed", Boolean, nullable=False),
)

member_keys = Table(
    "member_keys",
    metadata,
    _federation(),
    _integer("node", primary_key=True),
    _integer("epoch", primary_key=True),
    _address("address"),
)

epochs = Table(
    "epochs",
    metadata,
    _federation(),
    _integer("number", primary_key=True),
    _integer("first_round"),
    _integer("block"),
    _hash("config_hash"),
    Column("committee", Text, nullable=False),
    _integer("min_updates"),
    _hash("transcript"),
    _hash("change_hash", nullable=True),
    Column("change", LargeBinary),
    _integer("removed"),
)

proposals = Table(
    "proposals",
    metadata,
    _federation(),
    _integer("epoch"),
    _integer("block"),
    _hash("change_hash"),
    Column("change", LargeBinary, nullable=False),
    Column("due", Boolean, nullable=False),
)

ownership = Table(
    "ownership",
    metadata,
    _federation(),
    _address("owner"),
    _address("successor"),
    _integer("block"),
)

disputes = Table(
    "disputes",
    metadata,
    _federation(),
    _integer("number", primary_key=True),
    _integer("block"),
    _integer("epoch"),
    _integer("round"),
    _integer("fault"),
    _integer("culprits"),
    Column("nodes", Text, nullable=False),
    _hash("proof"),
    Column("contested", Boolean, nullable=False),
    Column("aborted", Boolean, nullable=False),
    _hash("transcript"),
)

rounds = Table(
    "rounds",
    metadata,
    _federation(),
    _integer("number", primary_key=True),
    _integer("phase"),
    _hash("opened_at"),
    _hash("base_model"),
    _integer("opened_block"),
    _integer("window_end"),
    _hash("root", nullable=True),
    _integer("n", nullable=True),
    _integer("sealed_block", nullable=True),
    _integer("forced"),
    _hash("score_root", nullable=True),
    _integer("scored_block", nullable=True),
    _hash("manifest", nullable=True),
    _hash("evidence", nullable=True),
    _hash("model", nullable=True),
    _hash("reputation_root", nullable=True),
    _integer("ended_block", nullable=True),
    _integer("aborted_in", nullable=True),
    _hash("transcript"),
    _integer("epoch"),
    _integer("attempt"),
    Column("unfolded", Boolean, nullable=False),
)
Index("ix_rounds_transcript", rounds.c.federation, rounds.c.transcript)

certificates = Table(
    "certificates",
    metadata,
    _federation(),
    _integer("round", primary_key=True),
    _integer("attempt", primary_key=True),
    _integer("validator", primary_key=True),
    _signature("signature"),
)

fallen = Table(
    "fallen",
    metadata,
    _federation(),
    _integer("round", primary_key=True),
    _integer("attempt", primary_key=True),
    _hash("manifest"),
    _hash("model"),
    _hash("reputation_root"),
    _hash("transcript"),
    _integer("certified_block"),
    _integer("dispute"),
    _hash("evidence", nullable=True),
)

updates = Table(
    "updates",
    metadata,
    _federation(),
    _integer("round", primary_key=True),
    _integer("node", primary_key=True),
    _hash("leaf", nullable=True),
    Column("forced", Boolean, nullable=False),
    _integer("deadline", nullable=True),
    _signature("signature", nullable=True),
    _hash("base_model", nullable=True),
    _hash("update_hash", nullable=True),
    _integer("n_samples", nullable=True),
    _hash("schema", nullable=True),
    _hash("salt", nullable=True),
    Column("reason", String(64), nullable=False),
    _integer("score", nullable=True),
    _integer("weight"),
    Column("measures", Text, nullable=False),
    Column("heard", LargeBinary, nullable=False),
)
Index("ix_updates_update_hash", updates.c.federation, updates.c.update_hash)

scores = Table(
    "scores",
    metadata,
    _federation(),
    _integer("round", primary_key=True),
    _integer("validator", primary_key=True),
    _hash("commitment"),
    _signature("signature"),
    _hash("salt", nullable=True),
    Column("scores", LargeBinary),
)

reputations = Table(
    "reputations",
    metadata,
    _federation(),
    _integer("round", primary_key=True),
    _integer("node", primary_key=True),
    _integer("a"),
    _integer("b"),
    _integer("va"),
    _integer("vb"),
    _integer("quarantined_until"),
)
Index("ix_reputations_node", reputations.c.federation, reputations.c.node, reputations.c.round)

responses = Table(
    "responses",
    metadata,
    _federation(),
    _hash("transcript", primary_key=True),
    Column("resource", String(200), primary_key=True),
    Column("media_type", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    _integer("chain_id", primary_key=True),
    _address("contract", primary_key=True),
    _integer("round_number", primary_key=True),
    Column("kind", String(32), primary_key=True),
    _address("sender", primary_key=True),
    _integer("attempt", primary_key=True),
    Column("data", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    _integer("nonce", nullable=True),
    Column("raw", LargeBinary),
    _hash("tx_hash", nullable=True),
    _integer("block_number", nullable=True),
    _hash("block_hash", nullable=True),
    _integer("gas_used", nullable=True),
    Column("reason", Text),
    Column("earlier", LargeBinary),
    Column("transcript", LargeBinary),
)
Index("ix_outbox_sender", outbox.c.chain_id, outbox.c.sender, outbox.c.state)

journal = Table(
    "journal",
    metadata,
    _integer("chain_id", primary_key=True),
    _address("contract", primary_key=True),
    _integer("node", primary_key=True),
    _integer("round", primary_key=True),
    Column("step", String(64), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

PROJECTIONS = (
    genesis,
    members,
    member_keys,
    epochs,
    proposals,
    ownership,
    disputes,
    rounds,
    certificates,
    fallen,
    updates,
    scores,
    reputations,
)
"""The tables that reindexing makes again."""
