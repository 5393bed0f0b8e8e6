from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Json, Model, new_id

_MERGED = sql("merged_into IS NOT NULL")
_WAKING = sql("wakes_at IS NOT NULL")
_PRESSING = sql("urgency <> 'routine'")
_BY_A_COLLEAGUE = sql("entered_by <> reporter_id")
_TO_BE_VERIFIED = sql("sealed AND state = 'handled'")


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
    reopened_at: Mapped[datetime | None]
    merged_at: Mapped[datetime | None]
    urged_at: Mapped[datetime | None]
    bounce_count: Mapped[int] = mapped_column(server_default=sql("0"))
    """Refusals under the present dispatching centre."""
    assignment: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """交办: level, document_number, leading_official, requirement, due_on, unit_id."""
    moved_at: Mapped[datetime | None]
    """The greatest instant at which a clock of it was started: none starts before it."""
    wakes_at: Mapped[datetime | None]
    """When it moves by itself unless somebody moves it before. None: it waits for people."""
    own_key: Mapped[str | None]
    """Of a sealed matter, itself sealed: text, outcome, place and history are under it."""

    __table_args__ = (
        Index("ix_incidents_district", "district_code", "received_at", "id"),
        Index("ix_incidents_reporter", "reporter_id", "received_at", "id"),
        Index("ix_incidents_village", "village_code", "received_at", "id"),
        Index("ix_incidents_township", "township_code", "received_at", "id"),
        Index("ix_incidents_grid", "grid_code", "received_at", "id"),
        Index("ix_incidents_owner", "owner_unit_id", "state", "received_at", "id"),
        Index("ix_incidents_merged_into", "merged_into", postgresql_where=_MERGED),
        Index("ix_incidents_wakes_at", "wakes_at", postgresql_where=_WAKING),
        # similar matters: a root's last days, the box cut out inside the index
        Index("ix_incidents_near", "root", "received_at", "lat", "lon"),
        Index("ix_incidents_category", "category", "received_at", "id"),
        Index("ix_incidents_state", "state", "received_at", "id"),
        Index("ix_incidents_pressing", "urgency", "received_at", "id", postgresql_where=_PRESSING),
        Index("ix_incidents_point", "lat", "lon"),
        Index(
            "ix_incidents_entered_by",
            "entered_by",
            "received_at",
            "id",
            postgresql_where=_BY_A_COLLEAGUE,
        ),
        Index("ix_incidents_sealed_handled", "received_at", "id", postgresql_where=_TO_BE_VERIFIED),
    )


class IncidentSerial(Model):
    """The last serial given out per township and local day."""

    __tablename__ = "incident_serials"

    area_code: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    last: Mapped[int]


_LEADING = sql("ended_at IS NULL AND assists IS NULL")
_ASSISTING = sql("ended_at IS NULL AND assists IS NOT NULL")
_SUPERVISED = sql("ended_at IS NULL AND supervision <> 'normal'")
_DUE = sql("due_at IS NOT NULL")
_STANDS_IN = sql("stand_in_unit_id IS NOT NULL")
_DECIDES = sql("decider_unit_id IS NOT NULL")


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
    supervised_level: Mapped[str | None]
    """Of who raised it last: nobody below lifts it."""
    assists: Mapped[UUID | None] = mapped_column(ForeignKey("steps.id"))
    """The leading step, of one that stands beside it (协办)."""
    stand_in_unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("units.id"))
    """The parent centre, once it may act in the place of one that let its time run out."""

    clock_phase: Mapped[str] = mapped_column(server_default=sql("'running'"))
    """running, overdue, yellow, red: what the clock has done already."""
    yellow_card_at: Mapped[datetime | None]
    red_card_at: Mapped[datetime | None]
    handling_since: Mapped[datetime | None]
    """Where the handling clock began; extensions and suspensions count from it."""
    extension_asked: Mapped[int | None]
    """Days asked for and not decided yet."""
    extension_days: Mapped[int] = mapped_column(server_default=sql("0"))
    """Days granted."""
    extensions_granted: Mapped[int] = mapped_column(server_default=sql("0"))
    decider_unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("units.id"))
    suspension_asked_on: Mapped[date | None]
    """The review date of a suspension asked for and not decided yet."""
    suspended_at: Mapped[datetime | None]
    suspended_s: Mapped[int] = mapped_column(server_default=sql("0"))
    """Of the limit's calendar, over all suspensions of this handling."""
    review_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_steps_incident_id", "incident_id"),
        Index("ix_steps_unit_id", "unit_id", "incident_id"),
        Index("ix_steps_opened_by", "opened_by", "incident_id"),
        Index("uq_steps_current", "incident_id", unique=True, postgresql_where=_LEADING),
        Index(
            "uq_steps_assisting",
            "incident_id",
            "unit_id",
            unique=True,
            postgresql_where=_ASSISTING,
        ),
        Index("ix_steps_stand_in", "stand_in_unit_id", postgresql_where=_STANDS_IN),
        Index("ix_steps_decider", "decider_unit_id", postgresql_where=_DECIDES),
        Index("ix_steps_due_at", "due_at", postgresql_where=sql("ended_at IS NULL")),
        Index("ix_steps_assisting", "unit_id", "incident_id", postgresql_where=_ASSISTING),
        Index("ix_steps_open_unit", "unit_id", "due_at", postgresql_where=_DUE),
        Index("ix_steps_open_opened_by", "opened_by", "due_at", postgresql_where=_DUE),
        Index("ix_steps_supervised", "supervision", postgresql_where=_SUPERVISED),
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

    __table_args__ = (
        UniqueConstraint("media_id"),
        Index("ix_incident_media_awaited", "attachment_id", postgresql_where="state <> 'stored'"),
        Index("ix_incident_media_sha256", "sha256", postgresql_where=sql("sha256 IS NOT NULL")),
    )


class Supplement(Model):
    """Text and files added to a report later, under an id the client made."""

    __tablename__ = "supplements"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"))
    fingerprint: Mapped[bytes]
    added_by: Mapped[UUID]
    received_at: Mapped[datetime]

    __table_args__ = (Index("ix_supplements_incident_id", "incident_id"),)


class InformedUnit(Model):
    """知会: a unit that reads a matter and has nothing to do in it."""

    __tablename__ = "informed_units"

    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("units.id"), primary_key=True)
    informed_at: Mapped[datetime]
