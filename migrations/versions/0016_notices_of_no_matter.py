"""Notices of no matter: an operator hears that an endpoint was disabled."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.alter_column("notices", "incident_id", existing_type=sa.Uuid(), nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM notices WHERE incident_id IS NULL")
    op.alter_column("notices", "incident_id", existing_type=sa.Uuid(), nullable=False)
