"""The outbox remembers the earlier versions of a transaction, and which transcript it was decided on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("outbox") as table:
        table.add_column(sa.Column("earlier", sa.LargeBinary))
        table.add_column(sa.Column("transcript", sa.LargeBinary))


def downgrade() -> None:
    with op.batch_alter_table("outbox") as table:
        table.drop_column("transcript")
        table.drop_column("earlier")
