"""Who hears of which event: the reporter of everything, staff of what waits for them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Unit
from app.accounts.permissions import Role
from app.accounts.queries import centre_of_area, staff_of
from app.core.db import one_of
from app.core.events import Recorded
from app.core.relay import Tick
from app.incidents.clearances import unlisted_handlers
from app.incidents.events import (
    AttachmentLost,
    AttachmentStored,
    GlassBroken,
    IncidentCommented,
    IncidentEvent,
    IncidentMerged,
    IncidentOverdue,
    IncidentRated,
    IncidentReported,
    IncidentSupervised,
    StateChanged,
    StepOpened,
)
from app.incidents.models import Incident
from app.incidents.status import ENDED, Action, State
from app.notifications import messages
from app.notifications.background import background_of
from app.notifications.events import OutcomeUnseen
from app.notifications.inbox import Draft, write
from app.notifications.messages import Message, Told
from app.notifications.reminding import LADDER, PRESSING

OUTCOMES = frozenset(
    {State.HANDLED, State.CLOSED, State.RETURNED, State.REJECTED, State.VOIDED, State.TRANSFERRED}
)
"""States in which something came of the matter, or its reporter has to act."""
_TO_LEADERS = frozenset({Action.RAISE_URGENCY, Action.ASSIGN_FROM_ABOVE})


async def tell_reporter(
    session: AsyncSession, events: Sequence[Recorded[IncidentEvent]], tick: Tick
) -> None:
    """One notice an event for the person who reported."""
    background = await background_of(session, events)
    pressing = await _pressing_outcomes(session, events)
    drafts = []
    for recorded in events:
        message = _for_reporter(recorded.event, background.told(recorded.event))
        if message is not None:
            draft = _draft(recorded, recorded.event.reporter_id, message)
            if recorded.id in pressing:
                draft = replace(draft, remind_at=tick.now + LADDER[0])
            drafts.append(draft)
    tick.subjects |= await write(session, drafts)


async def tell_unit(
    session: AsyncSession, events: Sequence[Recorded[IncidentEvent]], tick: Tick
) -> None:
    """One notice an event for the staff of the units it concerns, but not for who did it."""
    background = await background_of(session, events)
    units = {unit for e in events for unit in _concerned(e.event)}
    staff, leaders = await _staff(session, units), await _leaders(session, units)
    unaware = await _unaware(session, events)
    drafts = []
    for recorded in events:
        event = recorded.event
        told = background.told(event)
        actor = getattr(event, "actor_id", None)
        for unit_id in _concerned(event):
            message = _for_unit(event, unit_id, told)
            led = leaders.get(unit_id, ()) if _is_for_leaders(event, unit_id) else ()
            people = dict.fromkeys((*staff.get(unit_id, ()), *led))
            drafts += [
                _draft(recorded, person, message)
                for person in people
                if message and person != actor and person not in unaware[event.incident_id]
            ]
    tick.subjects |= await write(session, drafts)


async def tell_centres(
    session: AsyncSession, events: Sequence[Recorded[OutcomeUnseen]], tick: Tick
) -> None:
    """Who can tell the reporter in person: the village's leader and desk, the township's desk."""
    people = await _near(session, [recorded.event for recorded in events])
    drafts = [
        _draft(recorded, person, messages.unseen(Told(recorded.event.number, "")))
        for recorded in events
        for person in people(recorded.event)
        if person != recorded.event.reporter_id
    ]
    tick.subjects |= await write(session, drafts)


def _for_reporter(event: IncidentEvent, told: Told) -> Message | None:  # noqa: PLR0911 - one line an event
    match event:
        case IncidentReported():
            return messages.received(told)
        case StepOpened():
            return messages.step_to_reporter(event.action, told)
        case StateChanged(internal=False, step_opened=False):
            # where a step was opened the StepOpened of the same move says it
            return messages.change_to_reporter(event.action, told)
        case IncidentCommented():
            return None if event.actor_id == event.reporter_id else messages.commented(told)
        case AttachmentStored(complete=True):
            return messages.files_complete(told)
        case AttachmentLost():
            return messages.file_lost(told)
        case _:
            return None


def _for_unit(event: IncidentEvent, unit_id: UUID, told: Told) -> Message | None:  # noqa: PLR0911 - one line an event
    match event:
        case StepOpened() if event.unit_id == unit_id:
            return messages.step_to_unit(event.action, told)
        case StepOpened():
            return messages.informed(told)
        case StateChanged(step_opened=False):
            return messages.change_to_unit(event.action, told)
        case IncidentCommented():
            return messages.commented(told)
        case IncidentRated():
            return messages.rated(told, event.score)
        case GlassBroken():
            return messages.glass_broken(told)
        case _:
            return _of_others(event, told)


def _of_others(event: IncidentEvent, told: Told) -> Message | None:
    """What supervisors, clocks and other matters bring upon a unit."""
    match event:
        case IncidentSupervised():
            return messages.supervised(event.level, told)
        case IncidentOverdue(carded=False):
            return messages.overdue(event.stage, told)
        case IncidentMerged():
            return messages.merged(event.into_number, told)
        case _:
            return None


def _concerned(event: IncidentEvent) -> Iterable[UUID]:
    """Units whose staff may be told."""
    units = [getattr(event, "unit_id", None), *getattr(event, "inform_unit_ids", ())]
    if isinstance(event, StateChanged):
        units.append(event.verifying_unit_id)
    return dict.fromkeys(unit for unit in units if unit)


def _draft(recorded: Recorded[Any], person_id: UUID, message: Message) -> Draft:
    event = recorded.event
    state = getattr(event, "to_state", None) or event.state
    return Draft(
        person_id,
        recorded.id,
        event.name,
        event.incident_id,
        event.number,
        state,
        message,
        recorded.at,
    )


async def _pressing_outcomes(
    session: AsyncSession, events: Sequence[Recorded[IncidentEvent]]
) -> set[int]:
    """Ids of the events that tell the reporter an outcome which must be seen."""
    outcomes = {
        recorded.id: recorded.event.incident_id
        for recorded in events
        if isinstance(recorded.event, StateChanged) and _is_outcome(recorded.event)
    }
    if not outcomes:
        return set()
    pressing = set(
        await session.scalars(
            select(Incident.id).where(
                one_of(Incident.id, set(outcomes.values())), Incident.urgency.in_(PRESSING)
            )
        )
    )
    return {event_id for event_id, incident_id in outcomes.items() if incident_id in pressing}


def _is_outcome(event: StateChanged) -> bool:
    """Something came of it, and it was not the reporter who did it."""
    moved = event.from_state != event.to_state
    return moved and event.to_state in OUTCOMES and event.actor_id != event.reporter_id


async def _near(
    session: AsyncSession, events: Sequence[OutcomeUnseen]
) -> Callable[[OutcomeUnseen], Iterable[UUID]]:
    codes = {code for event in events for code in (event.village_code, event.township_code) if code}
    centres = await centre_of_area(session, codes)
    units = {unit.id for unit in centres.values()} | {event.owner_unit_id for event in events}
    desks = await staff_of(session, units, [Role.DISPATCHER])

    def people(event: OutcomeUnseen) -> Iterable[UUID]:
        near = [centres.get(code) for code in (event.village_code, event.township_code) if code]
        # that there is a sealed matter is known only where it is handled
        known = [] if event.sealed else [unit for unit in near if unit is not None]
        heads = [unit.head_id for unit in known if unit.level == "village" and unit.head_id]
        staff = [desks[unit_id] for unit_id in (*(u.id for u in known), event.owner_unit_id)]
        return dict.fromkeys((*heads, *chain.from_iterable(staff)))

    return people


def _is_for_leaders(event: IncidentEvent, unit_id: UUID) -> bool:
    """Cards, what is overdue, what is critical (越级), and what became of an assignment (交办)."""
    if event.sealed:
        return False  # supervisors do not see it
    match event:
        case IncidentSupervised() | IncidentOverdue():
            return True
        case StepOpened():
            return unit_id in event.inform_unit_ids
        case StateChanged():
            heard = event.action in _TO_LEADERS or event.to_state in ENDED
            return heard and unit_id in event.inform_unit_ids
        case _:
            return False


async def _leaders(session: AsyncSession, unit_ids: set[UUID]) -> dict[UUID, list[UUID]]:
    """Supervisors of centres; what a department has, they would not see."""
    centres = await session.scalars(
        select(Unit.id).where(one_of(Unit.id, unit_ids), Unit.kind == "centre")
    )
    return await staff_of(session, centres.all(), [Role.SUPERVISOR])


async def _unaware(
    session: AsyncSession, events: Sequence[Recorded[IncidentEvent]]
) -> Mapping[UUID, frozenset[UUID]]:
    """By sealed matter with a list: the handlers who are not on it. They never hear of it."""
    sealed = {recorded.event.incident_id for recorded in events if recorded.event.sealed}
    return defaultdict(frozenset, await unlisted_handlers(session, sealed) if sealed else {})


async def _staff(session: AsyncSession, unit_ids: set[UUID]) -> dict[UUID, list[UUID]]:
    """Dispatchers and handlers: whoever can act for the unit."""
    if not unit_ids:
        return {}
    return await staff_of(session, unit_ids, [Role.DISPATCHER, Role.HANDLER])
