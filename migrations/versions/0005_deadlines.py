"""Deadlines: calendar, office hours, limits."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "calendar_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('workday', 'holiday')", name=op.f("ck_calendar_days_kind")),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_calendar_days")),
    )
    op.create_table(
        "limits",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("category_code", sa.Text(), nullable=True),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=True),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("minutes", sa.BigInteger(), nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("extension_days_max", sa.BigInteger(), nullable=True),
        sa.Column("yellow_card_minutes", sa.BigInteger(), nullable=True),
        sa.Column("red_card_minutes", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("calendar IN ('always', 'working')", name=op.f("ck_limits_calendar")),
        sa.CheckConstraint(
            "level IN ('village', 'township', 'district')", name=op.f("ck_limits_level")
        ),
        sa.CheckConstraint(
            "stage IN ('accept', 'dispatch', 'sign', 'handle', 'verify')",
            name=op.f("ck_limits_stage"),
        ),
        sa.CheckConstraint(
            "urgency IN ('routine', 'urgent', 'critical', 'complex')",
            name=op.f("ck_limits_urgency"),
        ),
        sa.CheckConstraint(
            "minutes > 0 AND extension_days_max >= 0 AND yellow_card_minutes >= 0 AND red_card_minutes >= yellow_card_minutes",
            name=op.f("ck_limits_amounts"),
        ),
        sa.ForeignKeyConstraint(
            ["category_code"], ["categories.code"], name=op.f("fk_limits_category_code")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limits")),
        sa.UniqueConstraint(
            "category_code",
            "urgency",
            "level",
            "stage",
            name=op.f("uq_limits_category_code_urgency_level_stage"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "office_hours",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=True),
        sa.Column("sessions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["unit_id"], ["units.id"], name=op.f("fk_office_hours_unit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_office_hours")),
        sa.UniqueConstraint(
            "unit_id", name=op.f("uq_office_hours_unit_id"), postgresql_nulls_not_distinct=True
        ),
    )


def downgrade() -> None:
    op.drop_table("office_hours")
    op.drop_table("limits")
    op.drop_table("calendar_days")
