"""Media files."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "media_files",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.LargeBinary(), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("captured_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("clock_offset_s", sa.BigInteger(), nullable=True),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("uploaded_by", sa.Uuid(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('photo', 'video', 'audio')", name=op.f("ck_media_files_kind")),
        sa.CheckConstraint(
            "state <> 'stored' OR (object_key IS NOT NULL AND size IS NOT NULL AND sha256 IS NOT NULL AND content_type IS NOT NULL AND uploaded_at IS NOT NULL)",
            name=op.f("ck_media_files_stored_is_whole"),
        ),
        sa.CheckConstraint(
            "state IN ('expected', 'receiving', 'verifying', 'stored', 'rejected')",
            name=op.f("ck_media_files_state"),
        ),
        sa.CheckConstraint(
            "octet_length(filename) BETWEEN 1 AND 255", name=op.f("ck_media_files_filename")
        ),
        sa.CheckConstraint("octet_length(sha256) = 32", name=op.f("ck_media_files_sha256")),
        sa.CheckConstraint("size >= 0", name=op.f("ck_media_files_size")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_files")),
        sa.UniqueConstraint("object_key", name=op.f("uq_media_files_object_key")),
    )
    op.create_index(
        "ix_media_files_awaited",
        "media_files",
        ["created_at"],
        unique=False,
        postgresql_where="state IN ('expected', 'receiving', 'verifying')",
    )


def downgrade() -> None:
    op.drop_index(
        "ix_media_files_awaited",
        table_name="media_files",
        postgresql_where="state IN ('expected', 'receiving', 'verifying')",
    )
    op.drop_table("media_files")
