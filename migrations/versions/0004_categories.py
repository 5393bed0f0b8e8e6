"""Categories with their external codes."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "categories",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("parent_code", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "attributes",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "coalesce(parent_code, '') = left(code, -2)",
            name=op.f("ck_categories_parent_is_one_level_up"),
        ),
        sa.CheckConstraint(
            "code ~ '^([0-9]{2}){1,4}$'", name=op.f("ck_categories_code_has_two_digits_a_level")
        ),
        sa.ForeignKeyConstraint(
            ["parent_code"], ["categories.code"], name=op.f("fk_categories_parent_code")
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_categories")),
    )
    op.create_index(op.f("ix_categories_parent_code"), "categories", ["parent_code"], unique=False)
    op.create_table(
        "category_codes",
        sa.Column("category_code", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("external_code", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["category_code"], ["categories.code"], name=op.f("fk_category_codes_category_code")
        ),
        sa.PrimaryKeyConstraint("category_code", "system", name=op.f("pk_category_codes")),
        sa.UniqueConstraint(
            "system", "external_code", name=op.f("uq_category_codes_system_external_code")
        ),
    )


def downgrade() -> None:
    op.drop_table("category_codes")
    op.drop_index(op.f("ix_categories_parent_code"), table_name="categories")
    op.drop_table("categories")
