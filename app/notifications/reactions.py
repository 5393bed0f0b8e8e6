"""Who hears of which event: the reporter of everything, staff of what waits for them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Unit
from app.accounts.permissions import Role
from app.accounts.queries import staff_of
from app.core.events import Recorded
from app.core.relay import Tick
from app.incidents.events import (
    AttachmentStored,
    IncidentCommented,
    IncidentEvent,
    IncidentRated,
    IncidentReported,
    StateChanged,
    StepOpened,
)
from app.incidents.models import HistoryEntry
from app.notifications import messages
from app.notifications.inbox import Draft, write
from app.notifications.messages import Message, Told


@dataclass(frozen=True, slots=True)
class Background:
    """What the texts of a batch need, read once: unit names and the words of the history."""

    units: Mapping[UUID, str]
    words: Mapping[tuple[UUID, int], tuple[str | None, str | None]]

    def told(self, event: IncidentEvent) -> Told:
        unit_id = getattr(event, "unit_id", None) or getattr(event, "owner_unit_id", None)
        seq = getattr(event, "history_seq", 0)
        reason, text = self.words.get((event.incident_id, seq), (None, None))
        return Told(
            event.number,
            self.units.get(unit_id, "") if unit_id else "",
            reason,
            text,
        )


async def tell_reporter(
    session: AsyncSession, events: Sequence[Recorded[IncidentEvent]], tick: Tick
) -> None:
    """One notice an event for the person who reported."""
    background = await _background(session, events)
    drafts = []
    for recorded in events:
        message = _for_reporter(recorded.event, background.told(recorded.event))
        if message is not None:
            drafts.append(_draft(recorded, recorded.event.reporter_id, message))
    tick.subjects |= await write(session, drafts)


async def tell_unit(
    session: AsyncSession, events: Sequence[Recorded[IncidentEvent]], tick: Tick
) -> None:
    """One notice an event for the staff of the units it concerns, but not for who did it."""
    background = await _background(session, events)
    staff = await _staff(session, {unit for e in events for unit in _concerned(e.event)})
    drafts = []
    for recorded in events:
        event = recorded.event
        told = _discreet(background.told(event), event)
        actor = getattr(event, "actor_id", None)
        for unit_id in _concerned(event):
            message = _for_unit(event, unit_id, told)
            people = staff.get(unit_id, ()) if message else ()
            drafts += [
                _draft(recorded, person, message)
                for person in people
                if message and person != actor
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
        case _:
            return None


def _for_unit(event: IncidentEvent, unit_id: UUID, told: Told) -> Message | None:
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
        case _:
            return None


def _concerned(event: IncidentEvent) -> Iterable[UUID]:
    """Units whose staff may be told."""
    units = [getattr(event, "unit_id", None), *getattr(event, "inform_unit_ids", ())]
    if isinstance(event, StateChanged):
        units.append(event.verifying_unit_id)
    return dict.fromkeys(unit for unit in units if unit)


def _discreet(told: Told, event: IncidentEvent) -> Told:
    """Words of a sealed matter stay in the matter."""
    return replace(told, reason=None, text=None) if event.sealed else told


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


async def _background(
    session: AsyncSession, events: Sequence[Recorded[IncidentEvent]]
) -> Background:
    found = [recorded.event for recorded in events]
    ids = {getattr(e, "unit_id", None) or getattr(e, "owner_unit_id", None) for e in found}
    units = await session.execute(select(Unit.id, Unit.name).where(Unit.id.in_(ids)))
    places = [(e.incident_id, seq) for e in found if (seq := getattr(e, "history_seq", None))]
    words = await session.execute(
        select(
            HistoryEntry.incident_id, HistoryEntry.seq, HistoryEntry.reason, HistoryEntry.text
        ).where(tuple_(HistoryEntry.incident_id, HistoryEntry.seq).in_(places))
    )
    return Background(
        {row.id: row.name for row in units},
        {(row.incident_id, row.seq): (row.reason, row.text) for row in words},
    )


async def _staff(session: AsyncSession, unit_ids: set[UUID]) -> dict[UUID, list[UUID]]:
    """Dispatchers and handlers: whoever can act for the unit."""
    if not unit_ids:
        return {}
    return await staff_of(session, unit_ids, [Role.DISPATCHER, Role.HANDLER])
