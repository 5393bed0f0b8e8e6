"""Rule sets with a validity, dry runs of changed ones; what finds similar and linked matters."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "routing_rule_sets",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_routing_rule_sets")),
    )
    op.create_index("ix_routing_rule_sets_valid_from", "routing_rule_sets", ["valid_from"])
    op.execute(
        "INSERT INTO routing_rule_sets (version, valid_from, created_at)"
        " SELECT version, min(created_at), min(created_at) FROM routing_rules GROUP BY version"
    )
    op.create_foreign_key(
        op.f("fk_routing_rules_version"),
        "routing_rules",
        "routing_rule_sets",
        ["version"],
        ["version"],
    )
    op.create_index("ix_routing_decisions_decided_at", "routing_decisions", ["decided_at"])
    op.create_table(
        "routing_dry_runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("examined", sa.BigInteger(), nullable=False),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routing_dry_runs")),
    )
    op.create_index("ix_incidents_near", "incidents", ["root", "received_at", "lat", "lon"])
    op.create_index(
        "ix_incident_media_sha256",
        "incident_media",
        ["sha256"],
        postgresql_where=sa.text("sha256 IS NOT NULL"),
    )
    op.create_table(
        "incident_links",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("earlier_id", sa.Uuid(), nullable=False),
        sa.Column("later_id", sa.Uuid(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("reasons", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dismissed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dismissed_by", sa.Uuid(), nullable=True),
        sa.Column("dismissed_for", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["earlier_id"],
            ["incidents.id"],
            name=op.f("fk_incident_links_earlier_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["later_id"],
            ["incidents.id"],
            name=op.f("fk_incident_links_later_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident_links")),
        sa.UniqueConstraint(
            "earlier_id", "later_id", name=op.f("uq_incident_links_earlier_id_later_id")
        ),
    )
    op.create_index("ix_incident_links_later_id", "incident_links", ["later_id"])
    op.create_index("ix_incident_links_found_at", "incident_links", ["found_at"])


def downgrade() -> None:
    op.drop_table("incident_links")
    op.drop_index("ix_incident_media_sha256", table_name="incident_media")
    op.drop_index("ix_incidents_near", table_name="incidents")
    op.drop_table("routing_dry_runs")
    op.drop_index("ix_routing_decisions_decided_at", table_name="routing_decisions")
    op.drop_constraint(op.f("fk_routing_rules_version"), "routing_rules", type_="foreignkey")
    op.drop_table("routing_rule_sets")
