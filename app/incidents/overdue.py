"""Overdue: one phase after the other of a clock that nobody stopped, and its consequence."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from app.accounts.models import Unit
from app.core.events import record
from app.incidents import announcing, assignments
from app.incidents.events import IncidentOverdue, IncidentSupervised
from app.incidents.staffed import centre_above, staffed
from app.incidents.status import Happening, State
from app.incidents.steps import plan
from app.incidents.supervising import raise_card, rises, void_extension
from app.incidents.waking import Waking, above, climb, recall, write

_IN_PLACE = (State.ACCEPTED, State.HANDLED)
"""States in which the parent centre may act instead."""


async def run_out(waking: Waking) -> None:
    """One phase: overdue, yellow, red."""
    phases: dict[str, Callable[[Waking], Awaitable[None]]] = {
        "running": _overdue,
        "overdue": _yellow,
        "yellow": _red,
    }
    await phases[waking.current.clock_phase](waking)


async def assignment_ran_out(waking: Waking) -> None:
    """Who assigned it from above hears that the day is over, and a card is drawn, once."""
    incident, step = waking.incident, waking.current
    assignments.ran_out(incident)
    plan(incident, State(incident.state), step)
    told = {*await above(waking), *assignments.assigning_unit(incident)} - {step.unit_id}
    informs = tuple(sorted(told))
    waking.facts["stage"] = assignments.STAGE
    entry = await write(waking, Happening.OVERDUE, State(incident.state))
    event = IncidentOverdue(
        **announcing.common(incident, entry),
        stage=assignments.STAGE,
        unit_id=step.unit_id,
        state=incident.state,
        carded=False,
        inform_unit_ids=informs,
    )
    await record(waking.session, event, at=waking.now)
    waking.facts = {}
    await _draw(waking, "yellow", informs)


async def _overdue(waking: Waking) -> None:
    incident, step = waking.incident, waking.current
    step.clock_phase = "overdue"
    plan(incident, State(incident.state), step)
    carded = step.yellow_card_at is not None and step.yellow_card_at <= waking.now
    waking.facts["stage"] = step.stage
    entry = await write(waking, Happening.OVERDUE, State(incident.state))
    event = IncidentOverdue(
        **announcing.common(incident, entry),
        stage=step.stage or "",
        unit_id=step.unit_id,
        state=incident.state,
        carded=carded and rises(step, "yellow"),
        inform_unit_ids=await above(waking),
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
        superior = await centre_above(waking.session, unit)
        if superior is not None:
            await climb(waking, superior)
    elif state is State.IN_PROGRESS and unit.kind == "department":
        await recall(waking)
    elif state in _IN_PLACE:
        await _let_stand_in(waking)


async def _yellow(waking: Waking) -> None:
    await _card(waking, "yellow")


async def _red(waking: Waking) -> None:
    """Overdue by as much again: it climbs, or the parent may act in its place, or it is red."""
    state = State(waking.incident.state)
    if state is State.SUBMITTED:
        superior = await centre_above(waking.session, await waking.unit())
        if superior is not None:
            await climb(waking, superior)
            return
    if state in _IN_PLACE:
        await _let_stand_in(waking)
    await _card(waking, "red")


async def _card(waking: Waking, level: str) -> None:
    incident, step = waking.incident, waking.current
    step.clock_phase = level
    plan(incident, State(incident.state), step)
    await _draw(waking, level, await above(waking))


async def _draw(waking: Waking, level: str, informs: tuple[UUID, ...]) -> None:
    """A card that stands already, or a higher one, is not drawn again."""
    incident, step = waking.incident, waking.current
    if not rises(step, level):
        return
    raise_card(step, level, (await waking.unit()).level)
    waking.facts["level"] = level
    if level == "red" and void_extension(step):
        waking.facts["extension"] = "void"
    entry = await write(waking, Happening.CARD, State(incident.state))
    event = IncidentSupervised(
        **announcing.common(incident, entry),
        level=level,
        actor_id=None,
        unit_id=step.unit_id,
        state=incident.state,
        inform_unit_ids=informs,
    )
    await record(waking.session, event, at=waking.now)


async def _let_stand_in(waking: Waking) -> None:
    step = waking.current
    accepted = waking.incident.state == State.ACCEPTED
    acting = await waking.session.get_one(Unit, step.unit_id if accepted else step.opened_by)
    superior = await centre_above(waking.session, acting)
    step.stand_in_unit_id = superior.id if superior else None
