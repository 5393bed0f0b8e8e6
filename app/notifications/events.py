from uuid import UUID

from app.incidents.events import IncidentEvent


class OutcomeUnseen(IncidentEvent, name="incident.outcome_unseen"):
    """The outcome of a pressing matter was reminded of to the end, and is still not acknowledged.

    Who has not seen it is its reporter; the matter's centres are told, to tell them.
    """

    seq: int
    """The notice, in the reporter's inbox."""
    state: str
    owner_unit_id: UUID
    village_code: str | None
    township_code: str | None
