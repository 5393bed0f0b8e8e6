from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
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
    """What one person is told, once per event."""

    __tablename__ = "notices"

    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[int]
    type: Mapped[str]
    incident_id: Mapped[UUID]
    number: Mapped[str]
    state: Mapped[str]
    title: Mapped[str]
    body: Mapped[str]
    at: Mapped[datetime]
    acked_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("event_id", "person_id"),
        Index("ix_notices_incident_id", "incident_id"),
    )
