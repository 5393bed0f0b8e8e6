"""What lists are made from beside the incidents themselves: sights, words, long exports."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, false
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Json, Model


class Sight(Model):
    """A unit that sees an incident from now on: by a step, one it opened, or as it was informed.

    Written by the database itself with the step. `received_at` is the incident's, so that a unit's
    matters are read in their order.
    """

    __tablename__ = "sights"

    incident_id: Mapped[UUID] = mapped_column(
        ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True
    )
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("units.id"), primary_key=True)
    received_at: Mapped[datetime]
    alone: Mapped[bool]
    """Its place does not show it to the unit: it lies elsewhere, is sealed, or no centre's."""
    informed: Mapped[bool] = mapped_column(server_default=false())
    """知会 only: without a step of its own the unit sees it unless it is sealed."""

    __table_args__ = (
        Index("ix_sights_unit_id", "unit_id", "received_at", "incident_id"),
        Index(
            "ix_sights_alone",
            "unit_id",
            "received_at",
            "incident_id",
            postgresql_where=sql("alone"),
        ),
    )


class IncidentWords(Model):
    """What a search finds an incident by; a sealed one has none."""

    __tablename__ = "incident_words"

    incident_id: Mapped[UUID] = mapped_column(
        ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True
    )
    words: Mapped[list[str]] = mapped_column(ARRAY(Text))

    __table_args__ = (Index("ix_incident_words_words", "words", postgresql_using="gin"),)


class IncidentExport(Model):
    """A long export: asked for, made by a worker, kept for a day."""

    __tablename__ = "incident_exports"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID]
    session_id: Mapped[UUID]
    """It is made with the rights of this sign-in, as they are when it is made."""
    format: Mapped[str]
    filters: Mapped[Json] = mapped_column(JSONB)
    state: Mapped[str]
    code: Mapped[str | None]
    """Why it failed."""
    tries: Mapped[int] = mapped_column(server_default=sql("0"))
    done: Mapped[int] = mapped_column(server_default=sql("0"))
    object_key: Mapped[str | None]
    size: Mapped[int | None]
    created_at: Mapped[datetime]
    due_at: Mapped[datetime | None]
    """When a worker may take it; while one works: when it counts as dead."""
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("state IN ('queued','running','done','failed')", name="state"),
        Index("ix_incident_exports_due_at", "due_at"),
        Index("ix_incident_exports_person_id", "person_id"),
    )
