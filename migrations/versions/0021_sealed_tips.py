"""Sealed matters: a key of their own."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("incidents", sa.Column("own_key", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("incidents", "own_key")
