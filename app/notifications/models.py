from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Model


class Inbox(Model):
    """The counter of one person's notices; its row lock is what keeps the sequence gap-free."""

    __tablename__ = "inboxes"

    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"), primary_key=True)
    head_seq: Mapped[int]
    acked_seq: Mapped[int] = mapped_column(server_default=sql("0"))


class Notice(Model):
    """What one person is told, once per event: queued, nudged, delivered, acked (P15)."""

    __tablename__ = "notices"

    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[int]
    type: Mapped[str]
    incident_id: Mapped[UUID | None]
    """None: it is about no matter; only operators are told such things."""
    number: Mapped[str]
    state: Mapped[str]
    title: Mapped[str]
    body: Mapped[str]
    at: Mapped[datetime]
    nudged_at: Mapped[datetime | None]
    """When a push vendor last accepted a nudge for it."""
    delivered_at: Mapped[datetime | None]
    """When it was first streamed or pulled."""
    acked_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("event_id", "person_id"),
        Index("ix_notices_incident_id", "incident_id"),
        Index("ix_notices_unacked", "at", postgresql_where=sql("acked_at IS NULL")),
    )


class Reminder(Model):
    """A notice that must be seen: when its person is reminded next. Gone once it is acked."""

    __tablename__ = "reminders"

    person_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    rung: Mapped[int] = mapped_column(server_default=sql("0"))
    """Reminders sent so far."""
    due_at: Mapped[datetime]

    __table_args__ = (
        ForeignKeyConstraint(
            ["person_id", "seq"], ["notices.person_id", "notices.seq"], ondelete="CASCADE"
        ),
        Index("ix_reminders_due_at", "due_at"),
    )


class OpenStream(Model):
    """A stream some process serves; a device has two at most (P13)."""

    __tablename__ = "open_streams"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    device: Mapped[str]
    """The terminal; the session of somebody who signed in without one."""
    opened_at: Mapped[datetime]

    __table_args__ = (Index("ix_open_streams_device", "device"),)
