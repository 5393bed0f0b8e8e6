"""Evidence: the audit trail's chain, the nightly anchors and what they cover."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("audit_entries", sa.Column("chain_seq", sa.BigInteger(), nullable=True))
    op.add_column("audit_entries", sa.Column("hash", sa.LargeBinary(), nullable=True))
    op.create_unique_constraint(op.f("uq_audit_entries_chain_seq"), "audit_entries", ["chain_seq"])
    op.create_index(
        "ix_audit_entries_unsealed",
        "audit_entries",
        ["id"],
        postgresql_where=sa.text("chain_seq IS NULL"),
    )
    op.create_table(
        "anchors",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("leaves", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("blocks", sa.LargeBinary(), nullable=False),
        sa.Column("audit_seq", sa.BigInteger(), nullable=False),
        sa.Column("audit_head", sa.LargeBinary(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_anchors")),
        sa.UniqueConstraint("night", name=op.f("uq_anchors_night")),
    )
    op.create_index(
        "ix_anchors_not_kept", "anchors", ["seq"], postgresql_where=sa.text("kept_at IS NULL")
    )
    op.create_table(
        "anchored_leaves",
        sa.Column("anchor_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("place", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("attachment_id", sa.Uuid(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("anchor_seq", "place", name=op.f("pk_anchored_leaves")),
        sa.UniqueConstraint("incident_id", "seq", name=op.f("uq_anchored_leaves_incident_id_seq")),
        sa.UniqueConstraint(
            "incident_id",
            "attachment_id",
            name=op.f("uq_anchored_leaves_incident_id_attachment_id"),
        ),
    )
    _append_only("audit_entries", "old.chain_seq IS NULL", "chain_seq", "hash")
    _append_only("anchors", "old.kept_at IS NULL", "kept_at")
    _append_only("anchored_leaves", "false")


def _append_only(table: str, once: str, *columns: str) -> None:
    """Nothing goes; only these columns are filled in, once. Tables are still dropped freely."""
    fixed = "".join(f" - '{column}'" for column in columns)
    op.execute(
        f"""
        CREATE FUNCTION {table}_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF TG_OP = 'UPDATE' AND {once} AND to_jsonb(new){fixed} = to_jsonb(old){fixed} THEN
            RETURN new;
          END IF;
          RAISE EXCEPTION '{table} are append-only';
        END $$
        """
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION {table}_are_append_only()"
    )


def downgrade() -> None:
    for table in ("audit_entries", "anchors", "anchored_leaves"):
        op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
        op.execute(f"DROP FUNCTION {table}_are_append_only()")
    op.drop_table("anchored_leaves")
    op.drop_table("anchors")
    op.drop_index("ix_audit_entries_unsealed", table_name="audit_entries")
    op.drop_constraint(op.f("uq_audit_entries_chain_seq"), "audit_entries", type_="unique")
    op.drop_column("audit_entries", "hash")
    op.drop_column("audit_entries", "chain_seq")
