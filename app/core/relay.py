"""The relay: works the outbox off in batches, one active process, the others stand by.

Events are read by state, never by a cursor over ids: ids commit out of order. A batch runs
set-based; if it fails it is run again event by event, and a reaction that still fails is parked for
its subject while everything else goes on. At-least-once: `Recorded.id` is the de-duplication key.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from app.core import parking
from app.core.db import make_engine, one_of
from app.core.events import WAITING, Event, OutboxRow, Recorded, Waiting, parse
from app.core.resources import Resources

LOCK_KEY = 0x65746F6E67  # "etong"
BATCH = 500
IDLE_S = 0.05
RETRY_S = 0.5
"""How often parked reactions are looked at while none is due."""
STANDBY_S = 1.0

_GIVE_THE_LOCK_BACK = text("""
    SELECT set_config(name, value, false) FROM (VALUES
      ('client_connection_check_interval', '1000'),
      ('tcp_keepalives_idle', '3'), ('tcp_keepalives_interval', '1'), ('tcp_keepalives_count', '3')
    ) AS kept (name, value)""")
"""The server looks whether the relay still lives: one that is killed in a long statement, or whose
machine is gone, would else hold the lock until the statement ends, or for hours."""

log = structlog.get_logger()


@dataclass(slots=True)
class Tick:
    """One batch: its time, what the process holds, and whom to wake after the commit."""

    now: datetime
    resources: Resources
    subjects: set[str] = field(default_factory=set)


Reaction = Callable[[AsyncSession, Sequence[Recorded[Any]], Tick], Awaitable[None]]
Reactions = Mapping[type[Event], tuple[Reaction, ...]]


class Relay:
    def __init__(self, resources: Resources, reactions: Reactions) -> None:
        self._resources = resources
        self._reactions = reactions
        listed = (reaction for reacting in reactions.values() for reaction in reacting)
        self._by_name = {reaction.__name__: reaction for reaction in listed}
        self._parked_next = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; a lost database is waited for, and no failure is the last."""
        engine = _direct(self._resources)
        while not stop.is_set():
            try:
                async with engine.connect() as connection:
                    await self._lead(connection, stop)
            except (DBAPIError, PoolTimeout, OSError) as lost:
                log.warning("relay_reconnect", error=type(lost).__name__)
            except Exception:
                # a relay that dies in silence would leave every report unrouted
                log.exception("relay_failed")
            await _pause(stop, STANDBY_S)
        if engine is not self._resources.sessions.engine:
            await engine.dispose()

    async def drain(self) -> int:
        """Work off everything that waits now, once (tests, `etong drain`). Returns the events."""
        total = 0
        async with self._resources.sessions.engine.connect() as connection:
            while worked := await self.work(connection):
                total += worked
        return total

    async def work(self, connection: AsyncConnection) -> int:
        """One batch in one transaction on the lock's own connection: a lost lock loses the work."""
        tick = Tick(self._resources.clock.now(), self._resources)
        try:
            worked = await self._batch(connection, tick)
        except DBAPIError as failure:
            if failure.connection_invalidated:
                raise
            worked = await self._again_one_by_one(connection, failure)
        except Exception as failure:  # noqa: BLE001 - any reaction may fail in any way; it is parked below
            worked = await self._again_one_by_one(connection, failure)
        else:
            await self._resources.wakeups.publish(tick.subjects)
        return worked + await self._retry_parked(connection)

    async def _lead(self, connection: AsyncConnection, stop: asyncio.Event) -> None:
        with suppress(DBAPIError):  # some systems cannot look; then the lock is only free later
            await connection.execute(_GIVE_THE_LOCK_BACK)
        await connection.commit()
        locked = await connection.scalar(select(func.pg_try_advisory_lock(LOCK_KEY)))
        await connection.commit()
        if not locked:
            return
        log.info("relay_active")
        try:
            while not stop.is_set():
                if not await self.work(connection):
                    await _pause(stop, IDLE_S)
        finally:
            with suppress(SQLAlchemyError):
                await connection.execute(text(f"SELECT pg_advisory_unlock({LOCK_KEY})"))
                await connection.commit()

    async def _batch(self, connection: AsyncConnection, tick: Tick) -> int:
        async with self._resources.sessions.on(connection) as session, session.begin():
            waiting = await _waiting(session, BATCH)
            if not waiting:
                return 0
            events = await self._known(session, waiting, tick)
            behind = await parking.waiting_pairs(session, [e.event.subject_id for e in events])
            for reaction in self._by_name.values():
                wanted = [e for e in events if reaction in self._reactions.get(type(e.event), ())]
                free = [e for e in wanted if (reaction.__name__, e.event.subject_id) not in behind]
                held = [e for e in wanted if (reaction.__name__, e.event.subject_id) in behind]
                await parking.park(session, reaction.__name__, held, at=tick.now)
                if free:
                    await reaction(session, free, tick)
            await _mark(session, [row.id for row in waiting], tick.now)
        return len(waiting)

    async def _known(
        self, session: AsyncSession, rows: Sequence[Waiting], tick: Tick
    ) -> list[Recorded[Event]]:
        """Parse; a row this version can't read is flagged, never lost in silence."""
        known: list[Recorded[Event]] = []
        for row in rows:
            try:
                known.append(Recorded(row.id, row.occurred_at, parse(row.name, row.payload)))
            except (KeyError, ValueError) as unreadable:
                log.exception("event_unreadable", event_id=row.id, name=row.name)
                await parking.skip(session, row, parking.UNREAD, unreadable, at=tick.now)
        return known

    async def _again_one_by_one(self, connection: AsyncConnection, failure: Exception) -> int:
        log.warning("relay_batch_failed", error=type(failure).__name__, exc_info=failure)
        self._parked_next = 0.0
        tick = Tick(self._resources.clock.now(), self._resources)
        async with self._resources.sessions.on(connection) as session, session.begin():
            waiting = await _waiting(session, BATCH)
            for event in await self._known(session, waiting, tick):
                wanted = self._reactions.get(type(event.event), ())
                # in the order of a batch: who hears first must not depend on a failure
                for reaction in (known for known in self._by_name.values() if known in wanted):
                    await self._one(session, reaction, event, tick)
            await _mark(session, [row.id for row in waiting], tick.now)
        await self._resources.wakeups.publish(tick.subjects)
        return len(waiting)

    async def _one(
        self, session: AsyncSession, reaction: Reaction, event: Recorded[Any], tick: Tick
    ) -> None:
        pair = (reaction.__name__, event.event.subject_id)
        if pair in await parking.waiting_pairs(session, [event.event.subject_id]):
            await parking.park(session, reaction.__name__, [event], at=tick.now)
            return
        try:
            async with session.begin_nested():
                await reaction(session, [event], tick)
        except Exception as failure:  # noqa: BLE001 - parked with its error, tried again later
            log.warning("reaction_parked", reaction=reaction.__name__, event_id=event.id)
            await parking.park(session, reaction.__name__, [event], at=tick.now, error=failure)

    async def _retry_parked(self, connection: AsyncConnection) -> int:
        """Try the oldest parked event of each reaction and subject that is due."""
        ticks = asyncio.get_running_loop().time()
        if ticks < self._parked_next:
            return 0
        due = await self._retry_due(connection)
        self._parked_next = 0.0 if due else ticks + RETRY_S
        return due

    async def _retry_due(self, connection: AsyncConnection) -> int:
        tick = Tick(self._resources.clock.now(), self._resources)
        async with self._resources.sessions.on(connection) as session, session.begin():
            due = await parking.due(session, tick.now, limit=BATCH)
            for row, parked in due:
                try:
                    event = Recorded(row.id, row.occurred_at, parse(row.name, row.payload))
                    async with session.begin_nested():
                        await self._by_name[parked.reaction](session, [event], tick)
                except Exception as failure:  # noqa: BLE001 - counted; given up after five tries
                    await parking.failed_again(session, parked, failure, at=tick.now)
                else:
                    await parking.done(session, parked)
        await self._resources.wakeups.publish(tick.subjects)
        return len(due)


def _direct(resources: Resources) -> AsyncEngine:
    """Past a pooler: two relays that are given the same connection would share its lock."""
    settings = resources.settings.database
    if not settings.direct_url.get_secret_value():
        return resources.sessions.engine
    return make_engine(settings.model_copy(update={"url": settings.direct_url}))


async def _waiting(session: AsyncSession, limit: int) -> Sequence[Waiting]:
    rows = await session.execute(
        select(*WAITING).where(OutboxRow.processed_at.is_(None)).order_by(OutboxRow.id).limit(limit)
    )
    return rows.all()


async def _mark(session: AsyncSession, ids: Sequence[int], at: datetime) -> None:
    await session.execute(
        update(OutboxRow)
        .where(one_of(OutboxRow.id, ids))
        .values(processed_at=at)
        .execution_options(synchronize_session=False)
    )


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
