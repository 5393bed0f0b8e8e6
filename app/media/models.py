"""The rows of files. Which matter a file belongs to is written down elsewhere."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Model, new_id

FileState = Literal["expected", "receiving", "verifying", "stored", "rejected"]


class MediaFile(Model):
    """One file by the server's own id; the client's attachment id is its owner's business."""

    __tablename__ = "media_files"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    state: Mapped[str]
    kind: Mapped[str]
    filename: Mapped[str]
    object_key: Mapped[str | None] = mapped_column(unique=True)
    size: Mapped[int | None]
    sha256: Mapped[bytes | None]
    """32 bytes; what the manifest claims until `stored`, then what was computed."""
    content_type: Mapped[str | None]
    captured_at: Mapped[datetime | None]
    clock_offset_s: Mapped[int | None]
    """The phone's clock minus ours when it sent the file."""
    uploaded_at: Mapped[datetime | None]
    uploaded_by: Mapped[UUID]
    terminal_id: Mapped[str | None]
    created_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint(
            "state IN ('expected', 'receiving', 'verifying', 'stored', 'rejected')", name="state"
        ),
        CheckConstraint("kind IN ('photo', 'video', 'audio')", name="kind"),
        CheckConstraint("size >= 0", name="size"),
        CheckConstraint("octet_length(sha256) = 32", name="sha256"),
        CheckConstraint("octet_length(filename) BETWEEN 1 AND 255", name="filename"),
        CheckConstraint(
            "state <> 'stored' OR (object_key IS NOT NULL AND size IS NOT NULL"
            " AND sha256 IS NOT NULL AND content_type IS NOT NULL AND uploaded_at IS NOT NULL)",
            name="stored_is_whole",
        ),
        # what is still awaited: oldest first, for the alarm and the sweeper
        Index(
            "ix_media_files_awaited",
            "created_at",
            postgresql_where="state IN ('expected', 'receiving', 'verifying')",
        ),
    )
