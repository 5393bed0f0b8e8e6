"""Reminders: who does not acknowledge the outcome of a pressing matter is reminded of it (P15).

A reminder is a row with a due time, written with its notice and gone with its ack. Any number of
pumps may work them off. After the last one the matter's centres are told instead.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.events import record
from app.core.resources import Resources
from app.core.turns import in_turns
from app.incidents.models import Incident
from app.notifications.events import OutcomeUnseen
from app.notifications.inbox import subject
from app.notifications.models import Notice, Reminder

LADDER = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
)
"""Since the notice was written; the last one is also when others are told."""
PRESSING = ("critical", "urgent")
"""Urgencies whose outcomes must be seen."""
BATCH = 500
POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Due:
    reminder: Reminder
    notice: Notice
    incident: Incident


class Reminding:
    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; a lost database is waited for."""

        async def turn() -> bool:
            return bool(await self.work())

        await in_turns(turn, stop, POLL_S, "reminding_interrupted")

    async def work(self) -> int:
        """Send what is due now, at most a batch. Returns the reminders."""
        now = self._resources.clock.now()
        async with self._resources.sessions.begin() as session:
            due = await _claimed(session, now)
            for each in due:
                if each.reminder.rung + 1 < len(LADDER):
                    _climb(each.reminder, now)
                else:
                    await _tell_others(session, each, now)
        await self._resources.wakeups.publish({subject(each.notice.person_id) for each in due})
        return len(due)


async def _claimed(session: AsyncSession, now: datetime) -> Sequence[Due]:
    rows = await session.execute(
        select(Reminder, Notice, Incident)
        .join(Notice, (Notice.person_id == Reminder.person_id) & (Notice.seq == Reminder.seq))
        .join(Incident, Incident.id == Notice.incident_id)
        .where(Reminder.due_at <= now)
        .order_by(Reminder.due_at)
        .limit(BATCH)
        .with_for_update(of=Reminder, skip_locked=True)
    )
    return [Due(*row) for row in rows]


def _climb(reminder: Reminder, now: datetime) -> None:
    """From now, not from when it was due: after a pump's long absence nobody is told in a row."""
    reminder.due_at = now + LADDER[reminder.rung + 1] - LADDER[reminder.rung]
    reminder.rung += 1


async def _tell_others(session: AsyncSession, due: Due, now: datetime) -> None:
    incident = due.incident
    event = OutcomeUnseen(
        incident_id=incident.id,
        number=incident.number,
        reporter_id=incident.reporter_id,
        sealed=incident.sealed,
        seq=due.notice.seq,
        state=incident.state,
        owner_unit_id=incident.owner_unit_id,
        village_code=incident.village_code,
        township_code=incident.township_code,
    )
    await record(session, event, at=now)
    await session.execute(
        delete(Reminder).where(
            Reminder.person_id == due.reminder.person_id, Reminder.seq == due.reminder.seq
        )
    )
