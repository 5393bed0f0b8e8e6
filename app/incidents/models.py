from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Json, Model, new_id


class Incident(Model):
    """One matter. `owner_unit_id` is never null: the duty desk until routing has opened a step."""

    __tablename__ = "incidents"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    """Made by the terminal at capture; unique for ever."""
    number: Mapped[str] = mapped_column(unique=True)
    fingerprint: Mapped[bytes]

    district_code: Mapped[str]
    township_code: Mapped[str | None]
    village_code: Mapped[str | None]
    grid_code: Mapped[str | None]
    area_code: Mapped[str]
    area_id: Mapped[int] = mapped_column(ForeignKey("areas.id"))
    """The version of the area that was valid then: an old incident keeps its old grid."""

    category: Mapped[str] = mapped_column(ForeignKey("categories.code"))
    root: Mapped[str]
    urgency: Mapped[str]
    sealed: Mapped[bool]
    text: Mapped[str]
    source: Mapped[str]
    state: Mapped[str]
    revision: Mapped[int] = mapped_column(server_default=sql("1"))
    history_seq: Mapped[int] = mapped_column(server_default=sql("1"))
    history_head: Mapped[bytes]

    reporter_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"))
    entered_by: Mapped[UUID]
    """Another person than the reporter where a colleague typed it in (代录)."""
    terminal_id: Mapped[str | None]
    received_at: Mapped[datetime]
    occurred_at: Mapped[datetime | None]
    client_offset_s: Mapped[int | None]
    """The phone's clock minus the server's at receipt, seconds."""

    lon: Mapped[float | None]
    lat: Mapped[float | None]
    place: Mapped[Json] = mapped_column(JSONB)
    """As sent: lon, lat, datum, accuracy_m, fixed_at, address, grid_code."""
    grid_uncertain: Mapped[bool]
    grid_candidates: Mapped[list[Any]] = mapped_column(JSONB)

    raiser: Mapped[Json | None] = mapped_column(JSONB)
    parties: Mapped[list[Any]] = mapped_column(JSONB)
    appointment_at: Mapped[datetime | None]

    owner_unit_id: Mapped[UUID] = mapped_column(ForeignKey("units.id"))
    current_step_id: Mapped[UUID | None]
    outcome: Mapped[str | None]
    completed_by: Mapped[UUID | None]
    self_handled: Mapped[bool]
    rework_count: Mapped[int] = mapped_column(server_default=sql("0"))
    merged_into: Mapped[UUID | None]
    score: Mapped[int | None]
    closed_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_incidents_district", "district_code", "received_at", "id"),
        Index("ix_incidents_reporter", "reporter_id", "received_at", "id"),
        Index("ix_incidents_village", "village_code", "received_at", "id"),
        Index("ix_incidents_township", "township_code", "received_at", "id"),
        Index("ix_incidents_grid", "grid_code", "received_at", "id"),
        Index("ix_incidents_owner", "owner_unit_id", "state", "received_at", "id"),
        Index("ix_incidents_category", "category", "received_at", "id"),
        Index("ix_incidents_state", "state", "received_at", "id"),
        Index(
            "ix_incidents_pressing",
            "urgency",
            "received_at",
            "id",
            postgresql_where=sql("urgency <> 'routine'"),
        ),
        Index("ix_incidents_point", "lat", "lon"),
        Index(
            "ix_incidents_entered_by",
            "entered_by",
            "received_at",
            "id",
            postgresql_where=sql("entered_by <> reporter_id"),
        ),
        Index(
            "ix_incidents_sealed_handled",
            "received_at",
            "id",
            postgresql_where=sql("sealed AND state = 'handled'"),
        ),
    )


class IncidentSerial(Model):
    """The last serial given out per township and local day."""

    __tablename__ = "incident_serials"

    area_code: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    last: Mapped[int]


class Step(Model):
    """One unit's stay with an incident."""

    __tablename__ = "steps"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"))
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("units.id"))
    opened_by: Mapped[UUID] = mapped_column(ForeignKey("units.id"))
    """The centre under which the step stands: it verifies; a centre's own step stands under it."""
    state: Mapped[str]
    opened_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    stage: Mapped[str | None]
    clock_started_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    yellow_at: Mapped[datetime | None]
    supervision: Mapped[str] = mapped_column(server_default=sql("'normal'"))

    __table_args__ = (
        Index("ix_steps_incident_id", "incident_id"),
        Index("ix_steps_unit_id", "unit_id", "incident_id"),
        Index("ix_steps_opened_by", "opened_by", "incident_id"),
        Index(
            "uq_steps_current",
            "incident_id",
            unique=True,
            postgresql_where=sql("ended_at IS NULL"),
        ),
        Index("ix_steps_due_at", "due_at", postgresql_where=sql("ended_at IS NULL")),
        Index(
            "ix_steps_at_work",
            "unit_id",
            "incident_id",
            postgresql_where=sql("ended_at IS NULL AND state = 'in_progress'"),
        ),
        Index(
            "ix_steps_open_unit", "unit_id", "due_at", postgresql_where=sql("due_at IS NOT NULL")
        ),
        Index(
            "ix_steps_open_opened_by",
            "opened_by",
            "due_at",
            postgresql_where=sql("due_at IS NOT NULL"),
        ),
        Index(
            "ix_steps_supervised",
            "supervision",
            postgresql_where=sql("ended_at IS NULL AND supervision <> 'normal'"),
        ),
    )


class HistoryEntry(Model):
    """Append-only. Texts are hashed salted, so that erasing one does not break the chain."""

    __tablename__ = "history_entries"

    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor_id: Mapped[UUID | None]
    """None: the system."""
    actor_name: Mapped[str]
    unit_id: Mapped[UUID | None]
    action: Mapped[str]
    from_state: Mapped[str | None]
    to_state: Mapped[str]
    step_id: Mapped[UUID | None]
    facts: Mapped[Json] = mapped_column(JSONB)
    """Hashed as it stands: ids and codes only, no text of people."""
    reason: Mapped[str | None]
    text: Mapped[str | None]
    salt: Mapped[bytes]
    texts_digest: Mapped[bytes]
    hash: Mapped[bytes]
    previous_hash: Mapped[bytes]


class IncidentMedia(Model):
    """An attachment of an incident: what the manifest promised, and the file once it is there."""

    __tablename__ = "incident_media"

    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    attachment_id: Mapped[UUID] = mapped_column(primary_key=True)
    """Made by the client; the part's name in a multipart body."""
    position: Mapped[int]
    kind: Mapped[str]
    name: Mapped[str] = mapped_column(Text)
    size: Mapped[int | None]
    sha256: Mapped[bytes | None]
    captured_at: Mapped[datetime | None]
    state: Mapped[str]
    media_id: Mapped[UUID | None] = mapped_column(ForeignKey("media_files.id"))
    added_by: Mapped[UUID]

    __table_args__ = (UniqueConstraint("media_id"),)


class Supplement(Model):
    """Text and files added to a report later, under an id the client made."""

    __tablename__ = "supplements"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"))
    fingerprint: Mapped[bytes]
    added_by: Mapped[UUID]
    received_at: Mapped[datetime]

    __table_args__ = (Index("ix_supplements_incident_id", "incident_id"),)


class DeletedIncident(Model):
    """The id of a report that is gone: a repeat of it must not begin it anew (I8).

    Written by the database itself, whoever deletes.
    """

    __tablename__ = "deleted_incidents"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    deleted_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RetentionPeriod(Model):
    """How long files and people's data of a category are kept, where not as the settings say.

    The nearest category upwards that has a row decides; months after the matter ended.
    """

    __tablename__ = "retention_periods"

    category: Mapped[str] = mapped_column(ForeignKey("categories.code"), primary_key=True)
    media_months: Mapped[int | None]
    parties_months: Mapped[int | None]

    __table_args__ = (
        CheckConstraint("media_months > 0", name="media_months"),
        CheckConstraint("parties_months > 0", name="parties_months"),
    )


class LegalHold(Model):
    """A matter of which nothing is erased until the hold is lifted."""

    __tablename__ = "legal_holds"

    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    reason: Mapped[str]
    placed_at: Mapped[datetime]
