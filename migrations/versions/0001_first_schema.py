"""First schema: chain log, projections, outbox, journal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("chain_events", "journal")


def upgrade() -> None:
    _chain_log()
    _genesis()
    _rounds()
    _round_parts()
    _desk()
    op.execute(
        "CREATE VIEW audit_trail AS SELECT e.federation, b.number AS block_number, e.log_index, "
        "e.block_hash, e.tx_hash, e.kind, e.round, e.arguments, b.timestamp, b.canonical FROM chain_events e "
        "JOIN blocks b ON b.federation = e.federation AND b.hash = e.block_hash"
    )
    for table in APPEND_ONLY:
        _refuse_changes(table)


def downgrade() -> None:
    op.execute("DROP VIEW audit_trail")
    for table in (
        "journal",
        "outbox",
        "responses",
        "reputations",
        "scores",
        "updates",
        "certificates",
        "rounds",
        "members",
        "genesis",
        "checkpoints",
        "chain_events",
        "blocks",
        "federations",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change()")


def _bytes(length: int, name: str, table: str, *, nullable: bool = False) -> list[sa.schema.SchemaItem]:
    check = sa.CheckConstraint(f"length({name}) = {length}", name=op.f(f"ck_{table}_{name}_length"))
    return [sa.Column(name, sa.LargeBinary, nullable=nullable), check]


def _hashes(table: str, *names: str, nullable: bool = False) -> list[sa.schema.SchemaItem]:
    return [item for name in names for item in _bytes(32, name, table, nullable=nullable)]


def _integers(*names: str, nullable: bool = False) -> list[sa.schema.SchemaItem]:
    return [sa.Column(name, sa.BigInteger, nullable=nullable, autoincrement=False) for name in names]


def _federation(table: str) -> list[sa.schema.SchemaItem]:
    key = sa.ForeignKeyConstraint(["federation"], ["federations.id"], name=f"fk_{table}_federation")
    return [sa.Column("federation", sa.Integer, nullable=False), key]


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _chain_log() -> None:
    op.create_table(
        "federations",
        sa.Column("id", sa.Integer, nullable=False),
        *_integers("chain_id"),
        *_bytes(20, "contract", "federations"),
        *_integers("first_block"),
        _key("federations", "id"),
        sa.UniqueConstraint("chain_id", "contract", name="uq_federations_chain_id"),
    )
    op.create_table(
        "blocks",
        *_federation("blocks"),
        *_hashes("blocks", "hash"),
        *_integers("number"),
        *_hashes("blocks", "parent_hash"),
        *_integers("timestamp"),
        sa.Column("canonical", sa.Boolean, nullable=False),
        _key("blocks", "federation", "hash"),
    )
    op.create_index("ix_blocks_federation", "blocks", ["federation", "number"])
    op.create_table(
        "chain_events",
        sa.Column("federation", sa.Integer, nullable=False),
        *_hashes("chain_events", "block_hash"),
        *_integers("log_index"),
        *_hashes("chain_events", "tx_hash"),
        sa.Column("kind", sa.String(32), nullable=False),
        *_integers("round"),
        sa.Column("arguments", sa.Text, nullable=False),
        _key("chain_events", "federation", "block_hash", "log_index"),
        sa.ForeignKeyConstraint(
            ["federation", "block_hash"],
            ["blocks.federation", "blocks.hash"],
            name="fk_chain_events_federation",
        ),
    )
    op.create_index("ix_chain_events_federation", "chain_events", ["federation", "round"])
    op.create_table(
        "checkpoints",
        *_federation("checkpoints"),
        *_integers("number"),
        *_hashes("checkpoints", "hash"),
        *_integers("finalized", "head"),
        sa.Column("trouble", sa.Text),
        _key("checkpoints", "federation"),
    )


def _genesis() -> None:
    op.create_table(
        "genesis",
        *_federation("genesis"),
        *_hashes("genesis", "config_hash", "registry_hash", "model", "reputation_root", "transcript"),
        *_integers("committee", "depth"),
        sa.Column("windows", sa.Text, nullable=False),
        *_integers("min_updates", "block"),
        sa.Column("unfolded", sa.Boolean, nullable=False),
        _key("genesis", "federation"),
    )
    op.create_table(
        "members",
        *_federation("members"),
        *_integers("node"),
        *_bytes(20, "address", "members"),
        *_integers("epoch"),
        _key("members", "federation", "node"),
    )


def _rounds() -> None:
    op.create_table(
        "rounds",
        *_federation("rounds"),
        *_integers("number", "phase"),
        *_hashes("rounds", "opened_at", "base_model"),
        *_integers("opened_block", "window_end"),
        *_hashes("rounds", "root", nullable=True),
        *_integers("n", "sealed_block", nullable=True),
        *_integers("forced"),
        *_hashes("rounds", "score_root", nullable=True),
        *_integers("scored_block", nullable=True),
        *_hashes("rounds", "manifest", "evidence", "model", "reputation_root", nullable=True),
        *_integers("ended_block", "aborted_in", nullable=True),
        *_hashes("rounds", "transcript"),
        sa.Column("unfolded", sa.Boolean, nullable=False),
        _key("rounds", "federation", "number"),
    )
    op.create_index("ix_rounds_transcript", "rounds", ["federation", "transcript"])


def _round_parts() -> None:
    op.create_table(
        "certificates",
        *_federation("certificates"),
        *_integers("round", "validator"),
        *_bytes(65, "signature", "certificates"),
        _key("certificates", "federation", "round", "validator"),
    )
    op.create_table(
        "updates",
        *_federation("updates"),
        *_integers("round", "node"),
        *_hashes("updates", "leaf", nullable=True),
        sa.Column("forced", sa.Boolean, nullable=False),
        *_integers("deadline", nullable=True),
        *_bytes(65, "signature", "updates", nullable=True),
        *_hashes("updates", "base_model", "update_hash", nullable=True),
        *_integers("n_samples", nullable=True),
        *_hashes("updates", "schema", "salt", nullable=True),
        sa.Column("reason", sa.String(64), nullable=False),
        *_integers("score", nullable=True),
        *_integers("weight"),
        sa.Column("measures", sa.Text, nullable=False),
        _key("updates", "federation", "round", "node"),
    )
    op.create_index("ix_updates_update_hash", "updates", ["federation", "update_hash"])
    op.create_table(
        "scores",
        *_federation("scores"),
        *_integers("round", "validator"),
        *_hashes("scores", "commitment"),
        *_bytes(65, "signature", "scores"),
        *_hashes("scores", "salt", nullable=True),
        sa.Column("scores", sa.LargeBinary),
        _key("scores", "federation", "round", "validator"),
    )
    op.create_table(
        "reputations",
        *_federation("reputations"),
        *_integers("round", "node", "a", "b", "va", "vb", "quarantined_until"),
        _key("reputations", "federation", "round", "node"),
    )
    op.create_index("ix_reputations_node", "reputations", ["federation", "node", "round"])
    op.create_table(
        "responses",
        *_federation("responses"),
        *_hashes("responses", "transcript"),
        sa.Column("resource", sa.String(200), nullable=False),
        sa.Column("media_type", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        _key("responses", "federation", "transcript", "resource"),
    )


def _desk() -> None:
    op.create_table(
        "outbox",
        *_integers("chain_id"),
        *_bytes(20, "contract", "outbox"),
        *_integers("round_number"),
        sa.Column("kind", sa.String(32), nullable=False),
        *_bytes(20, "sender", "outbox"),
        *_integers("attempt"),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        *_integers("nonce", nullable=True),
        sa.Column("raw", sa.LargeBinary),
        *_hashes("outbox", "tx_hash", nullable=True),
        *_integers("block_number", nullable=True),
        *_hashes("outbox", "block_hash", nullable=True),
        *_integers("gas_used", nullable=True),
        sa.Column("reason", sa.Text),
        _key("outbox", "chain_id", "contract", "round_number", "kind", "sender", "attempt"),
    )
    op.create_index("ix_outbox_sender", "outbox", ["chain_id", "sender", "state"])
    op.create_table(
        "journal",
        *_integers("chain_id"),
        *_bytes(20, "contract", "journal"),
        *_integers("node", "round"),
        sa.Column("step", sa.String(64), nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        _key("journal", "chain_id", "contract", "node", "round", "step"),
    )


def _refuse_changes(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
