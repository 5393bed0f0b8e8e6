"""Uploads that a worker finishes, and files that wait for their report."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("session_id", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_uploads_under_way",
        "uploads",
        ["attachment_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('receiving', 'verifying')"),
    )
    op.create_index(
        "ix_incident_media_awaited",
        "incident_media",
        ["attachment_id"],
        unique=False,
        postgresql_where=sa.text("state <> 'stored'"),
    )


def downgrade() -> None:
    op.drop_index("ix_incident_media_awaited", table_name="incident_media")
    op.drop_index("ix_uploads_under_way", table_name="uploads")
    op.drop_column("uploads", "session_id")
