"""The rows of files. Which matter a file belongs to is written down elsewhere."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, literal_column
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Model, new_id

FileState = Literal["expected", "receiving", "verifying", "stored", "rejected", "erased"]


UNDER_WAY: tuple[ColumnElement[str], ...] = (
    literal_column("'receiving'"),
    literal_column("'verifying'"),
)
"""States of an upload that is not over; written out, as the index over the few such rows is."""


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
            "state IN ('expected', 'receiving', 'verifying', 'stored', 'rejected', 'erased')",
            name="state",
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


class Examination(Model):
    """What was found when a file was looked into, and whether that is done."""

    __tablename__ = "media_examinations"

    file_id: Mapped[UUID] = mapped_column(ForeignKey("media_files.id"), primary_key=True)
    state: Mapped[str]
    code: Mapped[str | None]
    """Why there is no picture of it, where `failed`."""
    tries: Mapped[int] = mapped_column(server_default=sql("0"))
    """Written before each: a file that takes its process with it is given up all the same."""
    queued_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    duration_s: Mapped[float | None]
    codec: Mapped[str | None]
    picture_hash: Mapped[int | None]
    """64 bits, signed; pictures of one scene differ in few of them."""
    taken_at: Mapped[datetime | None]
    """As the file itself says."""
    taken_lon: Mapped[float | None]
    taken_lat: Mapped[float | None]
    """WGS-84."""

    __table_args__ = (
        CheckConstraint("state IN ('queued', 'made', 'failed')", name="state"),
        CheckConstraint("(state = 'failed') = (code IS NOT NULL)", name="code_says_why"),
        Index("ix_media_examinations_queued", "queued_at", postgresql_where="state = 'queued'"),
        Index("ix_media_examinations_picture_hash", "picture_hash"),
    )


class Derivative(Model):
    """A picture made of a file: smaller, upright, without anything the camera wrote."""

    __tablename__ = "media_derivatives"

    file_id: Mapped[UUID] = mapped_column(ForeignKey("media_files.id"), primary_key=True)
    variant: Mapped[str] = mapped_column(primary_key=True)
    object_key: Mapped[str] = mapped_column(unique=True)
    content_type: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[bytes]
    width: Mapped[int]
    height: Mapped[int]

    __table_args__ = (
        CheckConstraint("variant IN ('view', 'preview', 'thumbnail')", name="variant"),
    )


class Rereading(Model):
    """One time the stored bytes of a file were read back and hashed: a line of its custody."""

    __tablename__ = "media_rereadings"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    file_id: Mapped[UUID] = mapped_column(ForeignKey("media_files.id"))
    at: Mapped[datetime]
    purpose: Mapped[str]
    found: Mapped[str]

    __table_args__ = (
        CheckConstraint("purpose IN ('examination', 'sample', 'verify')", name="purpose"),
        CheckConstraint("found IN ('whole', 'other', 'gone')", name="found"),
        Index("ix_media_rereadings_file_id", "file_id", "at"),
    )


class Upload(Model):
    """A resumable upload: this row is the truth about how far it has come.

    A request that writes holds the row by its `fence`; whoever comes later takes a higher one, and
    nothing is written any more under a lower.
    """

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(primary_key=True)
    """192 random bits: it stands in the address."""
    owner_id: Mapped[UUID]
    device: Mapped[str]
    """The terminal, or the person without one."""
    session_id: Mapped[UUID | None]
    """The sign-in that last brought bytes: by its rights the file is finished if nobody asks."""
    incident_id: Mapped[UUID | None]
    attachment_id: Mapped[UUID | None]
    metadata_: Mapped[str | None] = mapped_column("metadata")
    """`Upload-Metadata` as it came."""
    filename: Mapped[str | None]
    sha256: Mapped[bytes | None]
    """What the client or the manifest claims."""
    kind: Mapped[str | None]
    """What the manifest calls it."""
    length: Mapped[int | None]
    """None while it is deferred."""

    state: Mapped[str] = mapped_column(server_default=sql("'receiving'"))
    refusal: Mapped[str | None]
    """The code of the problem it was rejected for."""
    received: Mapped[int] = mapped_column(server_default=sql("0"))
    """The offset: bytes that are in the store, in parts or in the tail."""
    head: Mapped[bytes] = mapped_column(server_default=sql("''::bytea"))
    """The first bytes, by which the file is judged."""
    object_key: Mapped[str]
    parts_id: Mapped[str | None]
    """The store's name for the multipart upload."""
    parts: Mapped[list[Any]] = mapped_column(JSONB, server_default=sql("'[]'"))
    """[number, ETag, size] of each part."""
    next_part: Mapped[int] = mapped_column(server_default=sql("1"))
    """A number is used for one try only: a late write of a lost one must not replace another."""
    tail: Mapped[list[Any]] = mapped_column(JSONB, server_default=sql("'[]'"))
    """[key, size] of objects that hold what is too small for a part."""

    fence: Mapped[int] = mapped_column(server_default=sql("0"))
    held: Mapped[bool] = mapped_column(server_default=sql("false"))
    wanted: Mapped[int] = mapped_column(server_default=sql("0"))
    """The highest fence that a newcomer has asked to let go."""
    leased_until: Mapped[datetime | None]
    """While a file is verified nobody takes it over; a lease is renewed, one of the dead ends."""

    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    media_id: Mapped[UUID | None]

    __table_args__ = (
        CheckConstraint("state IN ('receiving', 'verifying', 'stored', 'rejected')", name="state"),
        CheckConstraint("received >= 0 AND received <= length", name="received"),
        CheckConstraint("octet_length(sha256) = 32", name="sha256"),
        Index(
            "uq_uploads_attachment",
            "owner_id",
            "attachment_id",
            unique=True,
            postgresql_where=sql("state <> 'rejected'"),
        ),
        Index("ix_uploads_device", "device"),
        Index(
            "ix_uploads_under_way",
            "attachment_id",
            postgresql_where=sql("state IN ('receiving', 'verifying')"),
        ),
        Index("ix_uploads_object_key", "object_key"),
        Index("ix_uploads_expires_at", "expires_at"),
    )
