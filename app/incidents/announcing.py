"""Which events a move gives (pure)."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from app.core.events import Event
from app.incidents.events import (
    IncidentCommented,
    IncidentMerged,
    IncidentRated,
    IncidentSupervised,
    StateChanged,
    StepOpened,
)
from app.incidents.models import HistoryEntry, Incident, Step
from app.incidents.moving import Move
from app.incidents.status import INTERNAL, Action


def events_of(moving: Move, entry: HistoryEntry, verifying_unit_id: UUID | None) -> list[Event]:
    """In the order in which people hear of them."""
    incident, caller = moving.incident, moving.caller
    facts = {**common(incident, entry), "unit_id": moving.step.unit_id if moving.step else None}
    acted = {**facts, "actor_id": caller.id, "state": incident.state}
    match entry.action:
        case Action.COMMENT:
            return [IncidentCommented(**acted)]
        case Action.RATE:
            score = moving.command.score or 0
            return [IncidentRated(**facts, score=score, state=incident.state)]
        case Action.SUPERVISE:
            level = moving.current.supervision
            informs = moving.informs
            return [IncidentSupervised(**acted, level=level, inform_unit_ids=informs)]
    changed = changes(
        incident,
        entry,
        acting=moving.step,
        opened=moving.opened,
        verifying_unit_id=verifying_unit_id,
        informs=moving.informs,
    )
    if entry.action == Action.MERGE and moving.other is not None:
        return [*changed, _merged(moving.other, acted)]
    return changed


def changes(
    incident: Incident,
    entry: HistoryEntry,
    *,
    acting: Step | None,
    opened: Step | None = None,
    verifying_unit_id: UUID | None = None,
    informs: Collection[UUID] = (),
) -> list[Event]:
    """A transition, and the step it opened; the same for people and for the system."""
    changed = StateChanged(
        **common(incident, entry),
        unit_id=acting.unit_id if acting else None,
        action=entry.action,
        from_state=entry.from_state or "",
        to_state=entry.to_state,
        actor_id=entry.actor_id,
        verifying_unit_id=verifying_unit_id,
        step_opened=opened is not None,
        internal=entry.action in INTERNAL,
        inform_unit_ids=tuple(informs),
    )
    return [changed] if opened is None else [changed, _opened(incident, entry, opened)]


def common(incident: Incident, entry: HistoryEntry) -> dict[str, Any]:
    return {
        "incident_id": incident.id,
        "number": incident.number,
        "reporter_id": incident.reporter_id,
        "sealed": incident.sealed,
        "history_seq": entry.seq,
    }


def _merged(master: Incident, acted: dict[str, Any]) -> IncidentMerged:
    facts = {**acted, "unit_id": master.owner_unit_id}
    return IncidentMerged(**facts, into=master.id, into_number=master.number)


def _opened(incident: Incident, entry: HistoryEntry, step: Step) -> StepOpened:
    return StepOpened(
        **common(incident, entry),
        step_id=step.id,
        unit_id=step.unit_id,
        action=entry.action,
        state=step.state,
        urgency=incident.urgency,
    )
