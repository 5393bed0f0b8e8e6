from uuid import UUID

from app.core.events import Event


class IncidentEvent(Event):
    """Facts that every event of an incident carries."""

    incident_id: UUID
    number: str
    reporter_id: UUID
    sealed: bool

    @property
    def subject_id(self) -> UUID:
        return self.incident_id


class IncidentReported(IncidentEvent, name="incident.reported"):
    category: str
    urgency: str
    state: str
    owner_unit_id: UUID


class StepOpened(IncidentEvent, name="incident.step_opened"):
    step_id: UUID
    unit_id: UUID
    action: str
    """What opened it: route, escalate, hand_down, dispatch, refuse."""
    state: str
    urgency: str
    history_seq: int
    inform_unit_ids: tuple[UUID, ...] = ()
    """Told at once, without owning anything (越级)."""


class GlassBroken(IncidentEvent, name="incident.glass_broken"):
    """Somebody above read a sealed matter that was not given to them."""

    actor_id: UUID
    unit_id: UUID
    state: str


class StateChanged(IncidentEvent, name="incident.state_changed"):
    """Any transition of the table; `from_state` equals `to_state` for progress."""

    action: str
    from_state: str
    to_state: str
    actor_id: UUID | None
    unit_id: UUID | None
    verifying_unit_id: UUID | None
    """The centre under which the acting step stands, or the one above where nobody but who
    completed it works there; None without a step."""
    step_opened: bool
    """A StepOpened of the same move follows and is what people are told."""
    history_seq: int
    internal: bool = False
    """Nothing that the reporter is told."""
    inform_unit_ids: tuple[UUID, ...] = ()
    """Told besides the units of the step."""


class IncidentOverdue(IncidentEvent, name="incident.overdue"):
    """The time of the present state is over; `carded`: a card is drawn in the same moment."""

    stage: str
    unit_id: UUID
    state: str
    carded: bool
    history_seq: int
    inform_unit_ids: tuple[UUID, ...] = ()


class IncidentSupervised(IncidentEvent, name="incident.supervised"):
    """A card was drawn, by somebody or by the clock (`actor_id` None)."""

    level: str
    actor_id: UUID | None
    unit_id: UUID
    state: str
    history_seq: int
    inform_unit_ids: tuple[UUID, ...] = ()


class IncidentMerged(IncidentEvent, name="incident.merged"):
    """`incident_id` has become a part of `into`, whose unit is told."""

    into: UUID
    into_number: str
    actor_id: UUID
    unit_id: UUID
    state: str
    history_seq: int


class IncidentCommented(IncidentEvent, name="incident.commented"):
    actor_id: UUID
    unit_id: UUID | None
    state: str
    history_seq: int


class IncidentRated(IncidentEvent, name="incident.rated"):
    score: int
    unit_id: UUID | None
    state: str
    history_seq: int


class AttachmentStored(IncidentEvent, name="incident.attachment_stored"):
    attachment_id: UUID
    unit_id: UUID | None
    state: str
    complete: bool


class AttachmentLost(IncidentEvent, name="incident.attachment_lost"):
    """The store did not keep what it took: the file is expected again."""

    attachment_id: UUID
    unit_id: UUID | None
    state: str
    added_by: UUID
