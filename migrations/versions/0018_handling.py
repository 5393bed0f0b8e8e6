"""Handling: assisting steps, extensions, suspensions, cards, relations, and when a matter wakes."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_AT = sa.DateTime(timezone=True)


def _of_incidents() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("reopened_at", _AT, nullable=True),
        sa.Column("merged_at", _AT, nullable=True),
        sa.Column("urged_at", _AT, nullable=True),
        sa.Column("bounce_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("assignment", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("moved_at", _AT, nullable=True),
        sa.Column("wakes_at", _AT, nullable=True),
    )


def _of_steps() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("supervised_level", sa.Text(), nullable=True),
        sa.Column("assists", sa.Uuid(), nullable=True),
        sa.Column("stand_in_unit_id", sa.Uuid(), nullable=True),
        sa.Column("clock_phase", sa.Text(), server_default=sa.text("'running'"), nullable=False),
        sa.Column("yellow_card_at", _AT, nullable=True),
        sa.Column("red_card_at", _AT, nullable=True),
        sa.Column("handling_since", _AT, nullable=True),
        sa.Column("extension_asked", sa.BigInteger(), nullable=True),
        sa.Column("extension_days", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "extensions_granted", sa.BigInteger(), server_default=sa.text("0"), nullable=False
        ),
        sa.Column("decider_unit_id", sa.Uuid(), nullable=True),
        sa.Column("suspension_asked_on", sa.Date(), nullable=True),
        sa.Column("suspended_at", _AT, nullable=True),
        sa.Column("suspended_s", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("review_at", _AT, nullable=True),
    )


_LINKS = (("assists", "steps"), ("stand_in_unit_id", "units"), ("decider_unit_id", "units"))
_OPEN = sa.text("ended_at IS NULL")
_LEADING = sa.text("ended_at IS NULL AND assists IS NULL")


def upgrade() -> None:
    for column in _of_incidents():
        op.add_column("incidents", column)
    for column in _of_steps():
        op.add_column("steps", column)
    for name, table in _LINKS:
        op.create_foreign_key(op.f(f"fk_steps_{name}"), "steps", table, [name], ["id"])
    op.drop_index("uq_steps_current", table_name="steps", postgresql_where=_OPEN)
    op.create_index(
        "uq_steps_current", "steps", ["incident_id"], unique=True, postgresql_where=_LEADING
    )
    op.create_index(
        "uq_steps_assisting",
        "steps",
        ["incident_id", "unit_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL AND assists IS NOT NULL"),
    )
    for name, table, filled in _PARTIAL:
        where = sa.text(f"{filled} IS NOT NULL")
        op.create_index(name, table, [filled], unique=False, postgresql_where=where)
    op.create_table(
        "incident_relations",
        sa.Column("low_id", sa.Uuid(), nullable=False),
        sa.Column("high_id", sa.Uuid(), nullable=False),
        sa.Column("related_by", sa.Uuid(), nullable=False),
        sa.Column("related_at", _AT, nullable=False),
        sa.ForeignKeyConstraint(
            ["low_id"], ["incidents.id"], name=op.f("fk_incident_relations_low_id")
        ),
        sa.ForeignKeyConstraint(
            ["high_id"], ["incidents.id"], name=op.f("fk_incident_relations_high_id")
        ),
        sa.PrimaryKeyConstraint("low_id", "high_id", name=op.f("pk_incident_relations")),
    )
    op.create_index(
        "ix_incident_relations_high_id", "incident_relations", ["high_id"], unique=False
    )
    op.create_table(
        "informed_units",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("informed_at", _AT, nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f("fk_informed_units_incident_id")
        ),
        sa.ForeignKeyConstraint(["unit_id"], ["units.id"], name=op.f("fk_informed_units_unit_id")),
        sa.PrimaryKeyConstraint("incident_id", "unit_id", name=op.f("pk_informed_units")),
    )
    _wind_up()


_PARTIAL = (
    ("ix_incidents_merged_into", "incidents", "merged_into"),
    ("ix_incidents_wakes_at", "incidents", "wakes_at"),
    ("ix_steps_stand_in", "steps", "stand_in_unit_id"),
    ("ix_steps_decider", "steps", "decider_unit_id"),
)


def _wind_up() -> None:
    """Matters under way get the consequences of the clocks they have."""
    op.execute(
        """
        UPDATE steps SET yellow_card_at = due_at,
          red_card_at = due_at + greatest(due_at - clock_started_at, interval '1 hour'),
          handling_since = CASE WHEN stage = 'handle' THEN clock_started_at END
        WHERE ended_at IS NULL AND due_at IS NOT NULL
        """
    )
    op.execute(
        """
        UPDATE incidents i SET wakes_at = s.due_at FROM steps s
        WHERE s.id = i.current_step_id AND s.due_at IS NOT NULL
        """
    )
    op.execute(
        """
        UPDATE incidents SET wakes_at = CASE state
          WHEN 'closed' THEN closed_at + interval '7 days' ELSE now() + interval '3 days' END
        WHERE state IN ('closed', 'returned')
        """
    )


def downgrade() -> None:
    op.drop_table("informed_units")
    op.drop_table("incident_relations")
    for name, table, _ in _PARTIAL:
        op.drop_index(name, table_name=table)
    op.drop_index("uq_steps_assisting", table_name="steps")
    op.drop_index("uq_steps_current", table_name="steps", postgresql_where=_LEADING)
    op.create_index(
        "uq_steps_current", "steps", ["incident_id"], unique=True, postgresql_where=_OPEN
    )
    for column in _of_steps():
        op.drop_column("steps", column.name)
    for column in _of_incidents():
        op.drop_column("incidents", column.name)
