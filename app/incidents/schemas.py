from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.areas.datum import Datum
from app.core.fields import Code, Command, Count, Instant, Lat, Line, Lon, Prose, Sha256, View
from app.incidents.attachment_schemas import AttachmentView
from app.incidents.status import State

Kind = Literal["photo", "video", "audio"]
Urgency = Literal["routine", "urgent", "critical", "complex"]
Source = Literal["patrol", "resident", "assigned", "hotline", "sensor", "platform"]
MAX_FILES = 12
_UUID_VERSIONS = (4, 7)


def _random_uuid(value: UUID) -> UUID:
    if value.version not in _UUID_VERSIONS:
        raise PydanticCustomError("uuid_version", "The id must be a UUID of version 4 or 7")
    return value


ClientId = Annotated[UUID, AfterValidator(_random_uuid)]
"""Made by the terminal (I1); its embedded time is never trusted."""
Phone = Annotated[str, StringConstraints(pattern=r"^[0-9+ -]{3,20}$", max_length=20)]


class Place(Command):
    lon: Lon | None = None
    lat: Lat | None = None
    datum: Datum = "wgs84"
    accuracy_m: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)] | None = None
    fixed_at: Instant | None = None
    address: Line | None = None
    grid_code: Code | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.lon is None) != (self.lat is None):
            raise PydanticCustomError("half_a_point", "lon and lat come together")
        return self


class ManifestFile(Command):
    id: ClientId
    kind: Kind
    name: Line | None = None
    """Else the one its part has in a multipart body."""
    size: Annotated[int, Field(ge=0, le=2**40)] | None = None
    sha256: Sha256 | None = None
    captured_at: Instant | None = None


class NewRaiser(Command):
    name: Line
    phone: Phone | None = None
    informed_at: Instant | None = None


class NewParty(Command):
    role: Line
    name: Line
    phone: Phone | None = None


class SelfHandled(Command):
    outcome: Prose
    attachments: list[ClientId] = Field(min_length=1, max_length=MAX_FILES)


class NewIncident(Command):
    """`meta` of a report, or the whole body of a report whose files follow."""

    id: ClientId
    category: Code
    urgency: Urgency = "routine"
    text: Prose
    place: Place | None = None
    occurred_at: Instant | None = None
    source: Source = "patrol"
    reported_for: UUID | None = None
    raiser: NewRaiser | None = None
    parties: list[NewParty] = Field(default=[], max_length=20)
    appointment_at: Instant | None = None
    attachments: list[ManifestFile] = Field(default=[], max_length=MAX_FILES)
    self_handled: SelfHandled | None = None

    @model_validator(mode="after")
    def _consistent_files(self) -> Self:
        ids = [file.id for file in self.attachments]
        if len(set(ids)) != len(ids):
            raise PydanticCustomError("repeated_id", "An attachment id stands twice")
        if self.self_handled and not set(self.self_handled.attachments) <= set(ids):
            raise PydanticCustomError("unlisted_id", "self_handled names an unlisted attachment")
        return self


class NewSupplement(Command):
    """`meta` of a supplement: more words, more files, or both."""

    id: ClientId
    text: Prose | None = None
    attachments: list[ManifestFile] = Field(default=[], max_length=MAX_FILES)

    @model_validator(mode="after")
    def _something(self) -> Self:
        ids = [file.id for file in self.attachments]
        if len(set(ids)) != len(ids):
            raise PydanticCustomError("repeated_id", "An attachment id stands twice")
        if self.text is None and not ids:
            raise PydanticCustomError("nothing_added", "A supplement adds text or files")
        return self

    @property
    def files(self) -> list[ManifestFile]:
        return self.attachments


class AttachmentReceipt(View):
    id: UUID
    state: str = Field(max_length=20)
    size: Count | None
    sha256: str | None = Field(max_length=64)


class IncidentReceipt(View):
    id: UUID
    number: str = Field(max_length=64)
    received_at: datetime
    state: str = Field(max_length=20)
    complete: bool
    attachments: list[AttachmentReceipt] = Field(max_length=100)
    revision: Count


class PlaceView(View):
    lon: Lon | None
    lat: Lat | None
    datum: Datum
    accuracy_m: Annotated[float, Field(ge=0, le=100_000)] | None
    address: str | None = Field(max_length=200)
    grid_code: str | None = Field(max_length=64)
    grid_uncertain: bool


class ReporterView(View):
    id: UUID
    name: str = Field(max_length=200)


class IncidentUnit(View):
    id: UUID
    code: str = Field(max_length=64)
    name: str = Field(max_length=200)
    level: str = Field(max_length=20)


class StepView(View):
    id: UUID
    unit: IncidentUnit
    state: str = Field(max_length=20)
    opened_at: datetime
    due_at: datetime | None
    remaining: Annotated[int, Field(ge=-(2**53), le=2**53)] | None
    """Seconds until `due_at`, negative when overdue."""
    light: Literal["green", "yellow", "red"] | None
    supervision: str = Field(max_length=20)
    extension_asked: Count | None = None
    """Days asked for and not decided yet."""
    extension_days: Count = 0
    """Days granted."""
    review_at: datetime | None = None
    """When a suspended matter goes on by itself."""
    assisting: list[UUID] = Field(default=[], max_length=100)
    """Units that work beside it (协办)."""


class AssignmentView(View):
    """交办 / 包案."""

    level: str = Field(max_length=20)
    document_number: str = Field(max_length=200)
    leading_official: str = Field(max_length=200)
    requirement: str = Field(max_length=5000)
    due_on: date
    due_at: datetime
    """The end of that day."""
    light: Literal["green", "yellow", "red"] | None
    """None once the matter is over."""


class MaskedPerson(View):
    role: str | None = Field(max_length=200)
    name: str = Field(max_length=200)
    phone: str | None = Field(max_length=20)
    informed_at: datetime | None = None
    """Of a raiser: when the reporter told them what came of it (已回告)."""


class IncidentView(View):
    id: UUID
    number: str = Field(max_length=64)
    state: str = Field(max_length=20, json_schema_extra={"x-extensible-enum": [*State]})
    category: str = Field(max_length=64)
    urgency: str = Field(max_length=20)
    text: str = Field(max_length=5000)
    source: str = Field(max_length=20)
    place: PlaceView
    area_code: str = Field(max_length=64)
    grid_code: str | None = Field(max_length=64)
    owner: IncidentUnit
    reporter: ReporterView | None
    received_at: datetime
    occurred_at: datetime | None
    revision: Count
    step: StepView | None
    outcome: str | None = Field(max_length=5000)
    allowed_actions: list[Annotated[str, Field(max_length=40)]] = Field(max_length=50)
    attachments: list[AttachmentView] = Field(max_length=100)
    complete: bool
    self_handled: bool
    rework_count: Count
    merged_into: UUID | None
    related: list[UUID] = Field(default=[], max_length=1000)
    assignment: AssignmentView | None = None
    score: Annotated[int, Field(ge=1, le=5)] | None
    raiser: MaskedPerson | None
    parties: list[MaskedPerson] = Field(max_length=20)
    appointment_at: datetime | None
    sealed: bool
    withheld: bool
    """What it says is not shown: `POST …/openings` with a reason."""


class HistoryActor(View):
    id: UUID | None
    name: str = Field(max_length=200)
    unit: IncidentUnit | None


class HistoryView(View):
    seq: Count
    at: datetime
    actor: HistoryActor
    action: str = Field(max_length=40)
    from_state: str | None = Field(max_length=20)
    to_state: str = Field(max_length=20)
    reason: str | None = Field(max_length=5000)
    text: str | None = Field(max_length=5000)
    step_id: UUID | None
    facts: dict[str, Any]
    hash: str = Field(max_length=64)
    previous_hash: str = Field(max_length=64)
