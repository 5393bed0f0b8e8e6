"""Steps: opening, ending, and the clock that runs in each state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Unit
from app.core.db import new_id
from app.core.events import record_all
from app.deadlines.limits import Deadlines
from app.incidents.events import StepOpened
from app.incidents.history import Entry, append
from app.incidents.models import Incident, Step
from app.incidents.status import STAGES, Happening, State


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
    """Set what is due in the step's state; states without a clock clear it."""
    stage = STAGES.get(State(step.state))
    step.stage = stage
    step.clock_started_at = now if stage else None
    if stage is None:
        step.due_at = step.yellow_at = None
        return
    due = deadlines.due(stage, incident.category, incident.urgency, level, now, step.unit_id)
    step.due_at, step.yellow_at = due.due_at, due.yellow_at


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
