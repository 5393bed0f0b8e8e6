"""Steps: opening, ending, and the clock that runs in each state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Unit
from app.core.db import new_id
from app.core.events import record_all
from app.deadlines.limits import Deadlines
from app.incidents.assignments import due_of
from app.incidents.events import StepOpened
from app.incidents.history import Entry, append
from app.incidents.models import Incident, Step
from app.incidents.status import STAGES, Happening, State
from app.incidents.windows import ANSWER_WINDOW, RATING_WINDOW


@dataclass(frozen=True, slots=True)
class FirstStep:
    """Routing's decision about one incident, ready to be carried out."""

    incident: Incident
    unit: Unit
    opened_by: UUID
    """The unit itself, or the centre above a member department."""
    inform_unit_ids: tuple[UUID, ...]
    rule: str


def start_clock(
    step: Step, incident: Incident, level: str, deadlines: Deadlines, now: datetime
) -> None:
    """Set what is due in the step's state; states without a clock clear it.

    No clock of a matter starts before the one it had, whatever the server's own clock says (F23).
    """
    started = max(now, incident.moved_at or incident.received_at)
    incident.moved_at = started
    stage = STAGES.get(State(step.state))
    step.stage = stage
    step.clock_phase = "running"
    step.stand_in_unit_id = step.decider_unit_id = None
    step.extension_asked = step.suspension_asked_on = step.review_at = None
    step.clock_started_at = started if stage else None
    if stage == "handle":
        step.handling_since = started
        step.extension_days = step.suspended_s = 0
    set_due(step, incident, level, deadlines)
    plan(incident, State(step.state), step)


def set_due(step: Step, incident: Incident, level: str, deadlines: Deadlines) -> None:
    """Count anew from where the clock began, with the days granted and the time suspended."""
    if step.stage is None or step.clock_started_at is None:
        stop_clock(step)
        return
    handling = step.stage == "handle"
    due = deadlines.due(
        step.stage,  # type: ignore[arg-type]  # written from STAGES
        incident.category,
        incident.urgency,
        level,
        step.clock_started_at,
        step.unit_id,
        extension_days=(step.extension_days or 0) if handling else 0,
        suspended=timedelta(seconds=(step.suspended_s or 0) if handling else 0),
    )
    step.due_at, step.yellow_at = due.due_at, due.yellow_at
    step.yellow_card_at, step.red_card_at = due.yellow_card_at, due.red_card_at


def stop_clock(step: Step) -> None:
    step.stage = step.clock_started_at = None
    step.due_at = step.yellow_at = step.yellow_card_at = step.red_card_at = None


def plan(incident: Incident, state: State, step: Step | None) -> None:
    """When the matter moves by itself, unless somebody moves it before."""
    times = (_of_state(incident, state, step), due_of(incident, state))
    incident.wakes_at = min((time for time in times if time is not None), default=None)


def _of_state(incident: Incident, state: State, step: Step | None) -> datetime | None:
    began = incident.moved_at or incident.received_at
    if state is State.RETURNED:
        return began + ANSWER_WINDOW
    if state is State.CLOSED:
        return (incident.closed_at or began) + RATING_WINDOW
    return None if step is None else _next_of(step)


def _next_of(step: Step) -> datetime | None:
    if step.state == State.SUSPENDED:
        return step.review_at
    following = {
        "running": step.due_at,
        "overdue": step.yellow_card_at,
        "yellow": step.red_card_at,
    }
    return following.get(step.clock_phase)


def end(step: Step, now: datetime) -> None:
    step.ended_at = now
    step.stand_in_unit_id = step.decider_unit_id = None
    step.extension_asked = step.suspension_asked_on = step.review_at = None
    stop_clock(step)


def open_step(
    session: AsyncSession,
    incident: Incident,
    unit: Unit,
    state: State,
    *,
    opened_by: UUID,
    deadlines: Deadlines,
    now: datetime,
) -> Step:
    """The incident's new current step, owned by `unit`. The one before must have ended."""
    step = Step(
        id=new_id(),
        incident_id=incident.id,
        unit_id=unit.id,
        opened_by=opened_by,
        state=state,
        opened_at=now,
        ended_at=None,
        supervision="normal",
        extension_days=0,
        extensions_granted=0,
        suspended_s=0,
    )
    start_clock(step, incident, unit.level, deadlines, now)
    session.add(step)
    incident.current_step_id = step.id
    incident.owner_unit_id = unit.id
    return step


async def open_first(
    session: AsyncSession, firsts: Sequence[FirstStep], deadlines: Deadlines, now: datetime
) -> None:
    """Carry out routing decisions, many at once. The incidents are locked by the caller."""
    events = []
    for first in firsts:
        incident, unit = first.incident, first.unit
        state = State.DISPATCHED if unit.kind == "department" else State.SUBMITTED
        step = open_step(
            session,
            incident,
            unit,
            state,
            opened_by=first.opened_by,
            deadlines=deadlines,
            now=now,
        )
        before, incident.state = incident.state, state
        incident.revision += 1
        entry = append(
            session,
            incident,
            Entry(
                action=Happening.ROUTE,
                from_state=before,
                to_state=state,
                step_id=step.id,
                facts={"to_unit": str(unit.id), "rule": first.rule},
            ),
            now,
        )
        opened = StepOpened(
            incident_id=incident.id,
            number=incident.number,
            reporter_id=incident.reporter_id,
            sealed=incident.sealed,
            step_id=step.id,
            unit_id=unit.id,
            action=Happening.ROUTE,
            state=state,
            urgency=incident.urgency,
            history_seq=entry.seq,
            inform_unit_ids=first.inform_unit_ids,
        )
        events.append((opened, now))
    await session.flush()
    await record_all(session, events)
