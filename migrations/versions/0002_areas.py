"""Areas: the division tree in versions."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "area_imports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued','running','done','failed')", name=op.f("ck_area_imports_state")
        ),
        sa.CheckConstraint("done BETWEEN 0 AND total", name=op.f("ck_area_imports_progress")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_area_imports")),
    )
    op.create_table(
        "area_revisions",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_area_revisions_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_area_revisions")),
    )
    op.create_table(
        "areas",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("parent_code", sa.Text(), nullable=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("households", sa.BigInteger(), nullable=True),
        sa.Column("population", sa.BigInteger(), nullable=True),
        sa.Column("lon", sa.Double(), nullable=True),
        sa.Column("lat", sa.Double(), nullable=True),
        sa.Column("geometry", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("kind IN ('rural','urban')", name=op.f("ck_areas_kind")),
        sa.CheckConstraint(
            "level IN ('province','city','district','township','village','grid')",
            name=op.f("ck_areas_level"),
        ),
        sa.CheckConstraint("households >= 0 AND population >= 0", name=op.f("ck_areas_counts")),
        sa.CheckConstraint("length(code) BETWEEN 1 AND 32", name=op.f("ck_areas_code")),
        sa.CheckConstraint("valid_to >= valid_from", name=op.f("ck_areas_validity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_areas")),
    )
    op.create_index("ix_areas_code_valid_from", "areas", ["code", "valid_from"], unique=False)
    op.create_index(
        "ix_areas_parent_code_code",
        "areas",
        ["parent_code", "code"],
        unique=False,
        postgresql_where="valid_to IS NULL",
    )
    op.create_index(
        "uq_areas_code_current", "areas", ["code"], unique=True, postgresql_where="valid_to IS NULL"
    )


def downgrade() -> None:
    op.drop_index("uq_areas_code_current", table_name="areas", postgresql_where="valid_to IS NULL")
    op.drop_index(
        "ix_areas_parent_code_code", table_name="areas", postgresql_where="valid_to IS NULL"
    )
    op.drop_index("ix_areas_code_valid_from", table_name="areas")
    op.drop_table("areas")
    op.drop_table("area_revisions")
    op.drop_table("area_imports")
