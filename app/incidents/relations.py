"""Which matters belong together."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Model, new_id


class Relation(Model):
    """Two matters that belong together; the smaller id stands first."""

    __tablename__ = "incident_relations"

    low_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    high_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    related_by: Mapped[UUID]
    related_at: Mapped[datetime]

    __table_args__ = (Index("ix_incident_relations_high_id", "high_id"),)


class IncidentLink(Model):
    """串并: two matters that may belong together, and why. Dismissed, it is not found again."""

    __tablename__ = "incident_links"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    earlier_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id", ondelete="CASCADE"))
    later_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id", ondelete="CASCADE"))
    score: Mapped[float]
    reasons: Mapped[list[Any]] = mapped_column(JSONB)
    found_at: Mapped[datetime]
    dismissed_at: Mapped[datetime | None]
    dismissed_by: Mapped[UUID | None]
    dismissed_for: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("earlier_id", "later_id"),
        Index("ix_incident_links_later_id", "later_id"),
        Index("ix_incident_links_found_at", "found_at"),
    )
