"""The yardstick of streams: PostgreSQL's own NOTIFY in the transaction of the event."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import get_context
from uuid import UUID

import psycopg
import uvloop
from psycopg.types.json import Jsonb

from app.core.db import new_id
from app.incidents.events import IncidentCommented
from tests.load.client import Outcome

PER_S = 100.0
"""Events committed in a second."""
PATIENCE_S = 60.0
INSERT = """
    INSERT INTO domain_events (name, subject_id, payload, occurred_at)
    VALUES (%s, %s, %s, clock_timestamp())"""


def notified(url: str, count: int) -> Outcome:
    """The yardstick: commit and NOTIFY, one after the other at the same pace."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_notify, url.replace("+psycopg", ""), count).result()


def event(person: UUID, number: int) -> tuple[str, UUID, Jsonb]:
    incident = new_id()
    event = IncidentCommented(
        incident_id=incident,
        number="620802105-20260311-0001",
        reporter_id=person,
        sealed=False,
        actor_id=incident,
        unit_id=None,
        state="in_progress",
        history_seq=number,
    )
    return event.name, incident, Jsonb(event.model_dump(mode="json"))


async def keep_pace(began: float, number: int) -> None:
    """Until it is the turn of the event after this one."""
    await asyncio.sleep(max(began + (number + 1) / PER_S - time.perf_counter(), 0))


async def all_arrived(outcome: Outcome, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while outcome.done < count:  # noqa: ASYNC110 - the last ones are on their way
            await asyncio.sleep(0.01)


def _notify(url: str, count: int) -> Outcome:
    return uvloop.run(_notify_all(url, count))


async def _notify_all(url: str, count: int) -> Outcome:
    outcome = Outcome()
    arrivals: deque[float] = deque()
    async with _listening(url, arrivals, outcome), _connection(url) as connection:
        began, cpu = time.perf_counter(), time.process_time()
        for number in range(count):
            arrivals.append(time.perf_counter())
            async with connection.transaction():
                await connection.execute(INSERT, event(new_id(), number), prepare=True)
                await connection.execute("SELECT pg_notify('bench', '')", prepare=True)
            await keep_pace(began, number)
        await all_arrived(outcome, count)
        outcome.seconds = time.perf_counter() - began
        outcome.cpu_s = time.process_time() - cpu
        await connection.execute("DELETE FROM domain_events")
    return outcome


@asynccontextmanager
async def _listening(url: str, arrivals: deque[float], outcome: Outcome) -> AsyncIterator[None]:
    async with _connection(url) as connection:
        await connection.execute("LISTEN bench")

        async def hear() -> None:
            async for _ in connection.notifies():
                outcome.latencies.append(time.perf_counter() - arrivals.popleft())

        hearing = asyncio.create_task(hear())
        yield
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection
