from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Model


class Anchor(Model):
    """One a night: the root over all that changed since the one before, and the audit's head."""

    __tablename__ = "anchors"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """1…n without gap."""
    night: Mapped[date] = mapped_column(unique=True)
    at: Mapped[datetime]
    leaves: Mapped[int]
    root: Mapped[bytes]
    blocks: Mapped[bytes]
    """The roots of blocks of leaves, 32 bytes each: a proof need not read the others' leaves."""
    audit_seq: Mapped[int]
    audit_head: Mapped[bytes]
    previous: Mapped[bytes]
    digest: Mapped[bytes]
    kept_at: Mapped[datetime | None]
    """When it was written to the object store."""

    __table_args__ = (Index("ix_anchors_not_kept", "seq", postgresql_where="kept_at IS NULL"),)


class AnchoredLeaf(Model):
    """What an anchor's tree is built of: the head of one history, or the digest of one file.

    No foreign keys: a night's many rows would lock the incidents that people work on.
    """

    __tablename__ = "anchored_leaves"

    anchor_seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    incident_id: Mapped[UUID]
    seq: Mapped[int | None]
    """Of a head: the number of the history's last entry."""
    attachment_id: Mapped[UUID | None]
    digest: Mapped[bytes]

    __table_args__ = (
        UniqueConstraint("incident_id", "seq"),
        UniqueConstraint("incident_id", "attachment_id"),
    )
