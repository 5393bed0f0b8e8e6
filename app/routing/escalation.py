"""Escalation: whatever nobody does in time has its consequence (window, card, next level).

A due row with a time of its own on each incident, claimed with SKIP LOCKED: any number of workers
may look, each matter is woken by one of them, and a restart goes on where the rows stand.
"""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.resources import Resources
from app.core.turns import in_turns
from app.deadlines.limits import current_deadlines
from app.incidents.automatic import wake
from app.incidents.models import Incident, Step
from app.incidents.waking import Waking

BATCH = 200
POLL_S = 5.0
PUT_OFF = timedelta(minutes=5)
"""What fails must not stand in the way of the others."""

log = structlog.get_logger()


class Clocks:
    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; a lost database is waited for."""

        async def turn() -> bool:
            return await self.work() == BATCH

        await in_turns(turn, stop, POLL_S, "clocks_interrupted")

    async def work(self) -> int:
        """Wake what is due now, one matter a transaction, at most a batch. Returns how many."""
        woken = 0
        while woken < BATCH and await self._wake_one():
            woken += 1
        return woken

    async def _wake_one(self) -> bool:
        deadlines = await current_deadlines(self._resources)
        now = self._resources.clock.now()
        claimed: UUID | None = None
        try:
            async with self._resources.sessions.begin() as session:
                incident = await _claimed(session, now)
                if incident is None:
                    return False
                claimed = incident.id
                step = await _step_of(session, incident)
                await wake(Waking(session, incident, step, deadlines, now))
        except DBAPIError as lost:
            if claimed is None or lost.connection_invalidated:
                raise
            log.exception("clock_failed", incident_id=str(claimed))
            await self._put_off(claimed, now)
        except (LookupError, ValueError, TypeError):
            if claimed is None:
                raise
            log.exception("clock_failed", incident_id=str(claimed))
            await self._put_off(claimed, now)
        return True

    async def _put_off(self, incident_id: UUID, now: datetime) -> None:
        async with self._resources.sessions.begin() as session:
            await session.execute(
                update(Incident)
                .where(Incident.id == incident_id, Incident.wakes_at <= now)
                .values(wakes_at=now + PUT_OFF)
            )


async def _claimed(session: AsyncSession, now: datetime) -> Incident | None:
    """The one that has waited longest, unless another worker has it."""
    found: Incident | None = await session.scalar(
        select(Incident)
        .where(Incident.wakes_at <= now)
        .order_by(Incident.wakes_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return found


async def _step_of(session: AsyncSession, incident: Incident) -> Step | None:
    if incident.current_step_id is None:
        return None
    return await session.get_one(Step, incident.current_step_id, populate_existing=True)
