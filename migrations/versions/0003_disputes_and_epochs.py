"""Disputes, epochs, ownership and leaves on chain.

A table whose columns change is made anew and filled from a copy, which is the same on both engines. What a
federation of the first schema had is kept: its committee are the first members, its only epoch is 0.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _new_tables()
    _remake_genesis(_genesis_after, _committee_after, "leaves_on_chain", "false")
    _first_epochs()
    _remake("members", _members_after, "federation, node, address, epoch, NULL, false")
    _remake("rounds", _rounds_after, f"{_ROUNDS}, 0, 0, unfolded")
    _remake("certificates", _certificates_after, "federation, round, 0, validator, signature")
    _remake("updates", _updates_after, f"{_UPDATES}, {_empty_bytes()}")


def downgrade() -> None:
    """Voided certificates, later epochs and who left have no place in the first schema."""
    standing = (
        "(SELECT r.attempt FROM rounds r WHERE r.federation = kept.federation AND r.number = kept.round "
        "AND r.manifest IS NOT NULL)"
    )
    select = "federation, round, validator, signature"
    _remake("certificates", _certificates_before, select, f"WHERE attempt = {standing}")
    _remake("updates", _updates_before, _UPDATES)
    _remake("rounds", _rounds_before, f"{_ROUNDS}, unfolded")
    _remake("members", _members_before, "federation, node, address, joined")
    _remake_genesis(_genesis_before, _committee_before)
    for table in ("fallen", "disputes", "ownership", "proposals", "epochs", "member_keys"):
        op.drop_table(table)


_ROUNDS = (
    "federation, number, phase, opened_at, base_model, opened_block, window_end, root, n, sealed_block, "
    "forced, score_root, scored_block, manifest, evidence, model, reputation_root, ended_block, aborted_in, "
    "transcript"
)
_UPDATES = (
    "federation, round, node, leaf, forced, deadline, signature, base_model, update_hash, n_samples, "
    '"schema", salt, reason, score, weight, measures'
)
_GENESIS = (
    "federation",
    "config_hash",
    "registry_hash",
    "model",
    "reputation_root",
    "transcript",
    "committee",
    "depth",
    "windows",
    "min_updates",
    "block",
)


def _remake(table: str, create: Callable[[], None], select: str, where: str = "") -> None:
    """Make a table anew and fill it with `select` from what it held, in the order of the new columns."""
    op.execute(f"CREATE TABLE kept AS SELECT * FROM {table}")
    op.drop_table(table)
    create()
    op.execute(f"INSERT INTO {table} SELECT {select} FROM kept {where}")
    op.drop_table("kept")


def _remake_genesis(
    create: Callable[[], None], committee: Callable[[object], object], added: str = "", value: str = ""
) -> None:
    names = ", ".join(_GENESIS)
    kept = op.get_bind().execute(sa.text(f"SELECT {names}, unfolded FROM genesis")).mappings().all()
    op.drop_table("genesis")
    create()
    into, of = (f", {added}", f", {value}") if added else ("", "")
    places = ", ".join(f":{name}" for name in _GENESIS)
    statement = sa.text(
        f"INSERT INTO genesis ({names}{into}, unfolded) VALUES ({places}{of}, :unfolded)"
    ).bindparams(sa.bindparam("unfolded", type_=sa.Boolean))
    for row in kept:
        op.get_bind().execute(statement, {**row, "committee": committee(row["committee"])})


def _committee_after(size: object) -> object:
    return json.dumps({"committee": list(range(int(str(size))))}, separators=(",", ":"))


def _committee_before(text: object) -> object:
    return len(json.loads(str(text))["committee"])


def _first_epochs() -> None:
    op.execute(
        "INSERT INTO epochs SELECT federation, 0, 1, block, config_hash, committee, min_updates, transcript, "
        "NULL, NULL, 0 FROM genesis"
    )
    op.execute("INSERT INTO member_keys SELECT federation, node, epoch, address FROM members")


def _empty_bytes() -> str:
    return "X''" if op.get_bind().dialect.name == "sqlite" else "''::bytea"


def _bytes(length: int, name: str, table: str, *, nullable: bool = False) -> list[sa.schema.SchemaItem]:
    check = sa.CheckConstraint(f"length({name}) = {length}", name=op.f(f"ck_{table}_{name}_length"))
    return [sa.Column(name, sa.LargeBinary, nullable=nullable), check]


def _hashes(table: str, *names: str, nullable: bool = False) -> list[sa.schema.SchemaItem]:
    return [item for name in names for item in _bytes(32, name, table, nullable=nullable)]


def _integers(*names: str, nullable: bool = False) -> list[sa.schema.SchemaItem]:
    return [sa.Column(name, sa.BigInteger, nullable=nullable, autoincrement=False) for name in names]


def _flags(*names: str) -> list[sa.schema.SchemaItem]:
    return [sa.Column(name, sa.Boolean, nullable=False) for name in names]


def _federation(table: str) -> list[sa.schema.SchemaItem]:
    key = sa.ForeignKeyConstraint(["federation"], ["federations.id"], name=f"fk_{table}_federation")
    return [sa.Column("federation", sa.Integer, nullable=False), key]


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _new_tables() -> None:
    op.create_table(
        "member_keys",
        *_federation("member_keys"),
        *_integers("node", "epoch"),
        *_bytes(20, "address", "member_keys"),
        _key("member_keys", "federation", "node", "epoch"),
    )
    op.create_table(
        "epochs",
        *_federation("epochs"),
        *_integers("number", "first_round", "block"),
        *_hashes("epochs", "config_hash"),
        sa.Column("committee", sa.Text, nullable=False),
        *_integers("min_updates"),
        *_hashes("epochs", "transcript"),
        *_hashes("epochs", "change_hash", nullable=True),
        sa.Column("change", sa.LargeBinary),
        *_integers("removed"),
        _key("epochs", "federation", "number"),
    )
    op.create_table(
        "proposals",
        *_federation("proposals"),
        *_integers("epoch", "block"),
        *_hashes("proposals", "change_hash"),
        sa.Column("change", sa.LargeBinary, nullable=False),
        *_flags("due"),
        _key("proposals", "federation"),
    )
    op.create_table(
        "ownership",
        *_federation("ownership"),
        *_bytes(20, "owner", "ownership"),
        *_bytes(20, "successor", "ownership"),
        *_integers("block"),
        _key("ownership", "federation"),
    )
    op.create_table(
        "disputes",
        *_federation("disputes"),
        *_integers("number", "block", "epoch", "round", "fault", "culprits"),
        sa.Column("nodes", sa.Text, nullable=False),
        *_hashes("disputes", "proof"),
        *_flags("contested", "aborted"),
        *_hashes("disputes", "transcript"),
        _key("disputes", "federation", "number"),
    )
    op.create_table(
        "fallen",
        *_federation("fallen"),
        *_integers("round", "attempt"),
        *_hashes("fallen", "manifest", "model", "reputation_root", "transcript"),
        *_integers("certified_block", "dispute"),
        *_hashes("fallen", "evidence", nullable=True),
        _key("fallen", "federation", "round", "attempt"),
    )


def _genesis(committee: sa.types.TypeEngine[object], *added: sa.schema.SchemaItem) -> None:
    op.create_table(
        "genesis",
        *_federation("genesis"),
        *_hashes("genesis", "config_hash", "registry_hash", "model", "reputation_root", "transcript"),
        sa.Column("committee", committee, nullable=False, autoincrement=False),
        *_integers("depth"),
        sa.Column("windows", sa.Text, nullable=False),
        *_integers("min_updates", "block"),
        *added,
        *_flags("unfolded"),
        _key("genesis", "federation"),
    )


def _genesis_after() -> None:
    _genesis(sa.Text(), *_flags("leaves_on_chain"))


def _genesis_before() -> None:
    _genesis(sa.BigInteger())


def _members(*changed: sa.schema.SchemaItem) -> None:
    op.create_table(
        "members",
        *_federation("members"),
        *_integers("node"),
        *_bytes(20, "address", "members"),
        *changed,
        _key("members", "federation", "node"),
    )


def _members_after() -> None:
    _members(*_integers("joined"), *_integers("left", nullable=True), *_flags("removed"))


def _members_before() -> None:
    _members(*_integers("epoch"))


def _rounds(*added: sa.schema.SchemaItem) -> None:
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
        *added,
        *_flags("unfolded"),
        _key("rounds", "federation", "number"),
    )
    op.create_index("ix_rounds_transcript", "rounds", ["federation", "transcript"])


def _rounds_after() -> None:
    _rounds(*_integers("epoch", "attempt"))


def _rounds_before() -> None:
    _rounds()


def _certificates(*key: str) -> None:
    op.create_table(
        "certificates",
        *_federation("certificates"),
        *_integers(*key),
        *_bytes(65, "signature", "certificates"),
        _key("certificates", "federation", *key),
    )


def _certificates_after() -> None:
    _certificates("round", "attempt", "validator")


def _certificates_before() -> None:
    _certificates("round", "validator")


def _updates(*added: sa.schema.SchemaItem) -> None:
    op.create_table(
        "updates",
        *_federation("updates"),
        *_integers("round", "node"),
        *_hashes("updates", "leaf", nullable=True),
        *_flags("forced"),
        *_integers("deadline", nullable=True),
        *_bytes(65, "signature", "updates", nullable=True),
        *_hashes("updates", "base_model", "update_hash", nullable=True),
        *_integers("n_samples", nullable=True),
        *_hashes("updates", "schema", "salt", nullable=True),
        sa.Column("reason", sa.String(64), nullable=False),
        *_integers("score", nullable=True),
        *_integers("weight"),
        sa.Column("measures", sa.Text, nullable=False),
        *added,
        _key("updates", "federation", "round", "node"),
    )
    op.create_index("ix_updates_update_hash", "updates", ["federation", "update_hash"])


def _updates_after() -> None:
    _updates(sa.Column("heard", sa.LargeBinary, nullable=False))


def _updates_before() -> None:
    _updates()
