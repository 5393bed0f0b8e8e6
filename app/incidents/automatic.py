"""What happens by itself when a matter's time has come: windows end, cards are drawn, it climbs.

The incident is locked by the caller. Each function moves the matter's next time on in the same
transaction, so that nothing happens twice however many workers look and however often they start.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Unit
from app.core.db import Json
from app.core.events import Event, record
from app.deadlines.limits import Deadlines
from app.incidents import announcing
from app.incidents.events import IncidentOverdue, IncidentSupervised
from app.incidents.history import Entry, append
from app.incidents.models import HistoryEntry, Incident, Step
from app.incidents.moving import end_assisting, hand_over, working_centre
from app.incidents.rights import verifying_unit
from app.incidents.staffed import centre_above, staffed
from app.incidents.status import FINAL, Happening, State
from app.incidents.steps import end, plan, start_clock
from app.incidents.supervising import raise_card, rises, void_extension
from app.incidents.suspending import run_on


@dataclass(slots=True)
class Waking:
    """A matter whose time has come."""

    session: AsyncSession
    incident: Incident
    step: Step | None
    deadlines: Deadlines
    now: datetime
    opened: Step | None = None
    facts: Json = field(default_factory=dict)
    reason: str | None = None

    @property
    def current(self) -> Step:
        if self.step is None:
            raise LookupError(f"{self.incident.id} has no current step")
        return self.step

    async def unit(self) -> Unit:
        return await self.session.get_one(Unit, self.current.unit_id)


async def wake(waking: Waking) -> None:
    """Do what is due in the matter's present state, once."""
    await _DUE[State(waking.incident.state)](waking)


async def _lapse(waking: Waking) -> None:
    waking.reason = "逾期未补正"
    await _end_as(waking, Happening.LAPSE, State.VOIDED)


async def _archive(waking: Waking) -> None:
    await _end_as(waking, Happening.ARCHIVE, State.ARCHIVED)


async def _end_as(waking: Waking, happening: Happening, after: State) -> None:
    incident, step = waking.incident, waking.step
    incident.current_step_id = incident.wakes_at = None
    if step is not None:
        step.state = after
        end(step, waking.now)
    await _tell(waking, happening, after)


async def _sign(waking: Waking) -> None:
    """The clock never waits for a signature; where nobody works it goes back instead."""
    if not await staffed(waking.session, await waking.unit()):
        await _recall(waking)
        return
    step, unit = waking.current, await waking.unit()
    step.state = State.IN_PROGRESS
    start_clock(step, waking.incident, unit.level, waking.deadlines, waking.now)
    await _tell(waking, Happening.AUTO_SIGN, State.IN_PROGRESS)


async def _resume(waking: Waking) -> None:
    unit = await waking.unit()
    step, after = waking.current, State.IN_PROGRESS
    # a worker that comes late gives nobody more time
    until = min(waking.now, step.review_at or waking.now)
    run_on(waking.incident, step, unit.level, after, waking.deadlines, until)
    await _tell(waking, Happening.AUTO_RESUME, after)


async def _recall(waking: Waking) -> None:
    centre = await working_centre(waking.session, waking.current.opened_by)
    waking.reason = "办理单位无人办理"
    await _hand_over(waking, centre, Happening.RECALL, State.ACCEPTED)


async def _climb(waking: Waking, centre: Unit) -> None:
    waking.reason = "逾期未受理"
    waking.incident.bounce_count = 0
    await _hand_over(waking, centre, Happening.CLIMB, State.SUBMITTED)


async def _hand_over(waking: Waking, unit: Unit, happening: Happening, after: State) -> None:
    waking.opened = await hand_over(
        waking.session,
        waking.incident,
        waking.current,
        unit,
        unit.id,
        after,
        waking.deadlines,
        waking.now,
    )
    waking.facts["to_unit"] = str(unit.id)
    await _tell(waking, happening, after)


async def _run_out(waking: Waking) -> None:
    """One phase of a clock that nobody stopped: overdue, yellow, red."""
    phases: dict[str, Callable[[Waking], Awaitable[None]]] = {
        "running": _overdue,
        "overdue": _yellow,
        "yellow": _red,
    }
    await phases[waking.current.clock_phase](waking)


async def _overdue(waking: Waking) -> None:
    incident, step = waking.incident, waking.current
    step.clock_phase = "overdue"
    plan(incident, State(incident.state), step)
    carded = step.yellow_card_at is not None and step.yellow_card_at <= waking.now
    waking.facts["stage"] = step.stage
    entry = await _write(waking, Happening.OVERDUE, State(incident.state))
    event = IncidentOverdue(
        **announcing.common(incident, entry),
        stage=step.stage or "",
        unit_id=step.unit_id,
        state=incident.state,
        carded=carded and rises(step, "yellow"),
        inform_unit_ids=await _above(waking),
    )
    await record(waking.session, event, at=waking.now)
    await _leave_the_deserted(waking)


async def _leave_the_deserted(waking: Waking) -> None:
    """A unit without staff is not waited for any longer."""
    unit = await waking.unit()
    if await staffed(waking.session, unit):
        return
    state = State(waking.incident.state)
    waking.facts = {}
    if state is State.SUBMITTED:
        above = await centre_above(waking.session, unit)
        if above is not None:
            await _climb(waking, above)
    elif state is State.IN_PROGRESS and unit.kind == "department":
        await _recall(waking)
    elif state in _IN_PLACE:
        await _let_stand_in(waking)


async def _yellow(waking: Waking) -> None:
    await _card(waking, "yellow")


async def _red(waking: Waking) -> None:
    """Overdue by as much again: it climbs, or the parent may act in its place, or it is red."""
    state = State(waking.incident.state)
    if state is State.SUBMITTED:
        above = await centre_above(waking.session, await waking.unit())
        if above is not None:
            await _climb(waking, above)
            return
    if state in _IN_PLACE:
        await _let_stand_in(waking)
    await _card(waking, "red")


async def _card(waking: Waking, level: str) -> None:
    """A card that stands already, or a higher one, is not drawn again."""
    incident, step = waking.incident, waking.current
    step.clock_phase = level
    plan(incident, State(incident.state), step)
    if not rises(step, level):
        return
    raise_card(step, level, (await waking.unit()).level)
    waking.facts["level"] = level
    if level == "red" and void_extension(step):
        waking.facts["extension"] = "void"
    entry = await _write(waking, Happening.CARD, State(incident.state))
    event = IncidentSupervised(
        **announcing.common(incident, entry),
        level=level,
        actor_id=None,
        unit_id=step.unit_id,
        state=incident.state,
        inform_unit_ids=await _above(waking),
    )
    await record(waking.session, event, at=waking.now)


_IN_PLACE = (State.ACCEPTED, State.HANDLED)


async def _let_stand_in(waking: Waking) -> None:
    step = waking.current
    accepted = waking.incident.state == State.ACCEPTED
    acting = await waking.session.get_one(Unit, step.unit_id if accepted else step.opened_by)
    above = await centre_above(waking.session, acting)
    step.stand_in_unit_id = above.id if above else None


async def _above(waking: Waking) -> tuple[UUID, ...]:
    """The centre it stands under and the one above; of a sealed matter only who has a step."""
    step = waking.current
    centre = await waking.session.get_one(Unit, step.opened_by)
    told = {centre.id} - {step.unit_id}
    parent = await centre_above(waking.session, centre)
    if parent is not None and not waking.incident.sealed:
        told.add(parent.id)
    return tuple(sorted(told))


async def _tell(waking: Waking, happening: Happening, after: State) -> None:
    """Write a change of state down and announce it, as `handling` does for people."""
    incident = waking.incident
    before = State(incident.state)
    incident.state = after
    incident.revision += 1
    if before is State.IN_PROGRESS and after in FINAL:
        await end_assisting(waking.session, waking.current, waking.now)
    entry = await _write(waking, happening, after, before)
    events: Collection[Event] = announcing.changes(
        incident,
        entry,
        acting=waking.step,
        opened=waking.opened,
        verifying_unit_id=await verifying_unit(waking.session, incident, waking.step),
    )
    await record(waking.session, *events, at=waking.now)


async def _write(
    waking: Waking, happening: Happening, after: State, before: State | None = None
) -> HistoryEntry:
    entry = append(
        waking.session,
        waking.incident,
        Entry(
            action=happening,
            from_state=before or after,
            to_state=after,
            step_id=waking.step.id if waking.step else None,
            reason=waking.reason,
            facts=dict(waking.facts),
        ),
        waking.now,
    )
    await waking.session.flush()
    return entry


_DUE: dict[State, Callable[[Waking], Awaitable[None]]] = {
    State.SUBMITTED: _run_out,
    State.ACCEPTED: _run_out,
    State.DISPATCHED: _sign,
    State.IN_PROGRESS: _run_out,
    State.SUSPENDED: _resume,
    State.HANDLED: _run_out,
    State.CLOSED: _archive,
    State.RETURNED: _lapse,
}
