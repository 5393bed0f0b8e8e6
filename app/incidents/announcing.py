"""Which events a move gives (pure)."""

from uuid import UUID

from app.accounts.caller import Caller
from app.core.events import Event
from app.incidents.events import IncidentCommented, IncidentRated, StateChanged, StepOpened
from app.incidents.models import HistoryEntry, Incident, Step
from app.incidents.status import Action


def events_of(
    incident: Incident,
    entry: HistoryEntry,
    caller: Caller,
    acting: Step | None,
    opened: Step | None,
    verifying_unit_id: UUID | None,
    score: int | None,
) -> list[Event]:
    """In the order in which people hear of them."""
    common = {
        "incident_id": incident.id,
        "number": incident.number,
        "reporter_id": incident.reporter_id,
        "sealed": incident.sealed,
        "history_seq": entry.seq,
        "unit_id": acting.unit_id if acting else None,
    }
    if entry.action == Action.COMMENT:
        return [IncidentCommented(**common, actor_id=caller.id, state=incident.state)]
    if entry.action == Action.RATE:
        return [IncidentRated(**common, score=score or 0, state=incident.state)]
    changed = StateChanged(
        **common,
        action=entry.action,
        from_state=entry.from_state or "",
        to_state=entry.to_state,
        actor_id=caller.id,
        verifying_unit_id=verifying_unit_id,
        step_opened=opened is not None,
    )
    return [changed] if opened is None else [changed, _opened(incident, entry, opened)]


def _opened(incident: Incident, entry: HistoryEntry, step: Step) -> StepOpened:
    return StepOpened(
        incident_id=incident.id,
        number=incident.number,
        reporter_id=incident.reporter_id,
        sealed=incident.sealed,
        step_id=step.id,
        unit_id=step.unit_id,
        action=entry.action,
        state=step.state,
        urgency=incident.urgency,
        history_seq=entry.seq,
    )
