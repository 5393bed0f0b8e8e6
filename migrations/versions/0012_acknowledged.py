"""Notices: when each was nudged and delivered, reminders of outcomes nobody saw, open streams."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("notices", sa.Column("nudged_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("notices", sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_notices_unacked", "notices", ["at"], postgresql_where=sa.text("acked_at IS NULL")
    )
    op.create_table(
        "reminders",
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("rung", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id", "seq"],
            ["notices.person_id", "notices.seq"],
            name=op.f("fk_reminders_person_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("person_id", "seq", name=op.f("pk_reminders")),
    )
    op.create_index("ix_reminders_due_at", "reminders", ["due_at"], unique=False)
    # a crash of the database ends every stream: nothing of it is worth a log
    op.create_table(
        "open_streams",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_open_streams")),
        prefixes=["UNLOGGED"],
    )
    op.create_index("ix_open_streams_device", "open_streams", ["device"], unique=False)


def downgrade() -> None:
    op.drop_table("open_streams")
    op.drop_table("reminders")
    op.drop_index("ix_notices_unacked", table_name="notices")
    op.drop_column("notices", "delivered_at")
    op.drop_column("notices", "nudged_at")
