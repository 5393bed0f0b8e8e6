"""The pump of callbacks: takes what is due, one of each platform at a time, and applies it.

A callback is applied and marked in one transaction: a kill leaves it due, never half done.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import OutcomeUnknown
from app.core.resources import Resources
from app.core.wakeups import listening
from app.deadlines.limits import current_deadlines
from app.webhooks.applying import apply, fail
from app.webhooks.events import CALLBACKS
from app.webhooks.models import Callback

POLL_S = 0.5
RECONNECT_S = 1.0
LANES = 2
"""Platforms served at the same time by one process."""

log = structlog.get_logger()

_LANE = text(
    """
    SELECT s.platform_id FROM callback_secrets s CROSS JOIN LATERAL (
      SELECT min(c.next_attempt_at) AS since FROM callbacks c
      WHERE c.platform_id = s.platform_id AND c.next_attempt_at <= :now) due
    WHERE due.since IS NOT NULL
    ORDER BY due.since LIMIT 1 FOR UPDATE OF s SKIP LOCKED
    """
)
"""A platform whose callbacks nobody applies; it is ours until the transaction ends."""


@dataclass(slots=True)
class _Taken:
    """What is being applied, for when that fails."""

    key: tuple[UUID, str] | None = None


class CallbackPump:
    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; what is being applied is finished."""
        async with asyncio.TaskGroup() as lanes:
            for _ in range(LANES):
                lanes.create_task(self._lane(stop), name="callback-lane")

    async def drain(self) -> int:
        """Apply everything that is due now, and what that makes due. Returns attempts."""
        count = 0
        while await self._next():
            count += 1
        return count

    async def _lane(self, stop: asyncio.Event) -> None:
        with listening(self._resources.wakeups, CALLBACKS) as waiter:
            while not stop.is_set():
                try:
                    worked = await self._next()
                except (SQLAlchemyError, OutcomeUnknown, OSError) as lost:
                    log.warning("callback_pump_reconnect", error=type(lost).__name__)
                    await asyncio.sleep(RECONNECT_S)
                    continue
                if not worked:
                    await waiter.wait(POLL_S)

    async def _next(self) -> bool:
        """Apply one. False: nothing is due, or somebody else has it."""
        taken = _Taken()
        try:
            return await self._apply_next(taken)
        except Exception as failure:
            if taken.key is None:
                raise
            log.exception("callback_failed", webhook_id=taken.key[1], error=type(failure).__name__)
            await self._fail(taken.key)
            return True

    async def _apply_next(self, taken: _Taken) -> bool:
        deadlines = await current_deadlines(self._resources)
        now = self._resources.clock.now()
        async with self._resources.sessions.begin() as session:
            row = await _due(session, now)
            if row is None:
                return False
            taken.key = (row.platform_id, row.webhook_id)
            await apply(session, row, deadlines, now)
        return True

    async def _fail(self, key: tuple[UUID, str]) -> None:
        """In a transaction of its own; where the database is gone too, it simply stays due."""
        now = self._resources.clock.now()
        async with self._resources.sessions.begin() as session:
            row = await session.get_one(Callback, key, with_for_update=True)
            if row.next_attempt_at is not None:  # a lost answer to COMMIT may have been a yes
                await fail(session, row, now)


async def _due(session: AsyncSession, now: datetime) -> Callback | None:
    """In the platform's own order where it is known, else as they came."""
    platform_id = await session.scalar(_LANE, {"now": now})
    if platform_id is None:
        return None
    row: Callback | None = await session.scalar(
        select(Callback)
        .where(Callback.platform_id == platform_id, Callback.next_attempt_at <= now)
        .order_by(func.coalesce(Callback.sequence, 0), Callback.received_at, Callback.webhook_id)
        .limit(1)
        .with_for_update()
    )
    return row
