"""交办 / 包案: what a level above requires and by when; it has a clock of its own (pure)."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from uuid import UUID

from app.core.db import Json
from app.incidents.models import Incident
from app.incidents.status import OPEN, State

STAGE = "assignment"
"""What the history and the events call this clock."""


def assigned(required: Json, due_on: date, unit_id: UUID, now: datetime, zone: tzinfo) -> Json:
    """As it is kept: the day named is the last one, it runs out with the local midnight after."""
    due_at = datetime.combine(due_on + timedelta(days=1), time(), zone).astimezone(UTC)
    return {
        **required,
        "due_on": due_on.isoformat(),
        "due_at": due_at.isoformat(),
        "yellow_at": (due_at - (due_at - now) / 4).isoformat(),
        "unit_id": str(unit_id),
        "overdue": False,
    }


def due_of(incident: Incident, state: State) -> datetime | None:
    """When it runs out; None without one, once it was told, and when the matter is over."""
    kept = incident.assignment
    if kept is None or kept["overdue"] or state not in OPEN:
        return None
    return datetime.fromisoformat(kept["due_at"])


def ran_out(incident: Incident) -> None:
    incident.assignment = {**(incident.assignment or {}), "overdue": True}


def assigning_unit(incident: Incident) -> tuple[UUID, ...]:
    """Who is reported to; nobody without an assignment."""
    return (UUID(incident.assignment["unit_id"]),) if incident.assignment else ()
