"""Which matters belong together."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Model


class Relation(Model):
    """Two matters that belong together; the smaller id stands first."""

    __tablename__ = "incident_relations"

    low_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    high_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    related_by: Mapped[UUID]
    related_at: Mapped[datetime]

    __table_args__ = (Index("ix_incident_relations_high_id", "high_id"),)
