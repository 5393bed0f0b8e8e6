"""Events put into an outbox, reactions that write down what they did, and what came of them."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import new_id
from app.core.events import OutboxRow, Recorded, record
from app.core.parking import ParkedReaction
from app.core.relay import Reaction, Relay, Tick
from app.core.resources import Resources
from app.incidents.events import IncidentCommented
from tests.district import District

POISONED, SOUND, OTHER = new_id(), new_id(), new_id()


def remark(subject: UUID, number: int) -> IncidentCommented:
    return IncidentCommented(
        incident_id=subject,
        number="620802105-20260311-0001",
        reporter_id=subject,
        sealed=False,
        actor_id=subject,
        unit_id=None,
        state="submitted",
        history_seq=number,
    )


class Outbox:
    """Events put in, and what came of them."""

    def __init__(self, place: District) -> None:
        self.resources = place.resources
        self.clock = place.clock
        self.wakeups = place.wakeups

    async def put(self, *events: Any) -> None:
        async with self.resources.sessions.begin() as session:
            await record(session, *events, at=self.clock.now())

    async def drain(self, *reactions: Reaction) -> int:
        return await relay_of(self.resources, *reactions).drain()

    async def done(self) -> list[str]:
        async with self.resources.sessions.read() as session:
            return list(await session.scalars(text("SELECT what FROM done ORDER BY id")))

    async def waiting(self) -> int:
        async with self.resources.sessions.read() as session:
            count = await session.scalar(
                select(func.count()).select_from(OutboxRow).where(OutboxRow.processed_at.is_(None))
            )
        return count or 0

    async def parked(self) -> list[ParkedReaction]:
        async with self.resources.sessions.read() as session:
            rows = await session.scalars(select(ParkedReaction).order_by(ParkedReaction.event_id))
            return list(rows)


def relay_of(resources: Resources, *reactions: Reaction) -> Relay:
    return Relay(resources, {IncidentCommented: reactions})


def noting(name: str, fails: Callable[[Recorded[Any]], bool] = lambda _: False) -> Reaction:
    """A reaction that writes down every event it works off; a batch with a bad one fails whole."""

    async def note(session: AsyncSession, events: Sequence[Recorded[Any]], tick: Tick) -> None:
        for recorded in events:
            event = recorded.event
            if fails(recorded):
                raise ValueError(f"{name} can't do {event.history_seq}")
            what = f"{name} {NAMES[event.subject_id]} {event.history_seq}"
            await session.execute(text("INSERT INTO done (what) VALUES (:what)"), {"what": what})
            tick.subjects.add(f"{name}:{event.subject_id}")

    note.__name__ = name
    return note


NAMES = {POISONED: "bad", SOUND: "good", OTHER: "other"}


def poison(recorded: Recorded[Any]) -> bool:
    return bool(recorded.event.subject_id == POISONED)
