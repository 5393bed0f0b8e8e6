"""Who hears of which event: the reporter of everything, staff of what waits for them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
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
    IncidentRated,
    IncidentReported,
    StateChanged,
    StepOpened,
)
from app.incidents.models import Incident
from app.incidents.status import State
from app.notifications import messages
from app.notifications.events import OutcomeUnseen
from app.notifications.inbox import Draft, write
from app.notifications.messages import Message, Told
from app.notifications.reminding import LADDER, PRESSING

OUTCOMES = frozenset({State.HANDLED, State.CLOSED, State.RETURNED, State.REJECTED, State.VOIDED})
"""States in which something came of the matter, or its reporter has to act."""


_WORDS = text(
    """
    SELECT h.incident_id, h.seq, h.reason, h.text
    FROM unnest(CAST(:incidents AS uuid[]), CAST(:seqs AS bigint[])) AS e (incident_id, seq)
    JOIN history_entries h ON h.incident_id = e.incident_id AND h.seq = e.seq
    """
)


@dataclass(frozen=True, slots=True)
class Background:
    """What the texts of a batch need, read once: unit names and the words of the history."""

    units: Mapping[UUID, str]
    words: Mapping[tuple[UUID, int], tuple[str | None, str | None]]

    def told(self, event: IncidentEvent) -> Told:
        unit_id = getattr(event, "unit_id", None) or getattr(event, "owner_unit_id", None)
        seq = getattr(event, "history_seq", 0)
        reason, words = self.words.get((event.incident_id, seq), (None, None))
        return Told(
            event.number,
            self.units.get(unit_id, "") if unit_id else "",
            *((None, None) if event.sealed else (reason, words)),
            sealed=event.sealed,
        )


async def tell_reporter(
    session: AsyncSession, events: Sequence[Recorded[IncidentEvent]], tick: Tick
) -> None:
    """One notice an event for the person who reported."""
    background = await _background(session, events)
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
    background = await _background(session, events)
    staff = await _staff(session, {unit for e in events for unit in _concerned(e.event)})
    unaware = await _unaware(session, events)
    drafts = []
    for recorded in events:
        event = recorded.event
        told = background.told(event)
        actor = getattr(event, "actor_id", None)
        for unit_id in _concerned(event):
            message = _for_unit(event, unit_id, told)
            people = staff.get(unit_id, ()) if message else ()
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
        case StateChanged(step_opened=True):
            return None  # the StepOpened of the same move says it
        case StateChanged():
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


async def _background(
    session: AsyncSession, events: Sequence[Recorded[IncidentEvent]]
) -> Background:
    found = [recorded.event for recorded in events]
    ids = {getattr(e, "unit_id", None) or getattr(e, "owner_unit_id", None) for e in found}
    units = await session.execute(select(Unit.id, Unit.name).where(one_of(Unit.id, ids - {None})))
    places = [(e.incident_id, seq) for e in found if (seq := getattr(e, "history_seq", None))]
    words = await session.execute(
        _WORDS,
        {"incidents": [place[0] for place in places], "seqs": [place[1] for place in places]},
    )
    return Background(
        {row.id: row.name for row in units},
        {(row.incident_id, row.seq): (row.reason, row.text) for row in words},
    )


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
