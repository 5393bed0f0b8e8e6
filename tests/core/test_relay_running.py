"""One active relay: standbys take over, and nothing that happens to it is its last."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import relay as relaying
from app.core.db import Sessions, make_engine
from app.core.events import Recorded
from app.core.relay import Relay, Tick
from app.core.resources import Resources
from app.core.wakeups import MemoryWakeups
from tests.core.outbox import SOUND, Outbox, noting, relay_of, remark

pytestmark = pytest.mark.usefixtures("logged")


@asynccontextmanager
async def _running(relay: Relay) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    running = asyncio.create_task(relay.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await running


def _elsewhere(outbox: Outbox) -> Resources:
    """The same database from another process."""
    given = outbox.resources.settings
    return Resources(
        given, Sessions(make_engine(given.database)), outbox.resources.store, MemoryWakeups(),
        outbox.clock,
    )  # fmt: skip


async def _until(outbox: Outbox, count: int) -> list[str]:
    async with asyncio.timeout(10):
        while len(done := await outbox.done()) < count:  # noqa: ASYNC110 - another process's rows
            await asyncio.sleep(0.02)
    return done


async def _lock_holder(outbox: Outbox) -> int | None:
    async with outbox.resources.sessions.read() as session:
        pid: int | None = await session.scalar(
            text(
                "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )
    return pid


async def test_a_second_relay_stands_by_and_takes_over(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "STANDBY_S", 0.05)
    second = _elsewhere(outbox)
    async with _running(relay_of(outbox.resources, noting("first"))) as stop:
        await outbox.put(remark(SOUND, 1))
        await _until(outbox, 1)
        async with _running(relay_of(second, noting("second"))):
            # one after the other: a second leader would have come first some time
            for number in range(2, 21):
                await outbox.put(remark(SOUND, number))
                done = await _until(outbox, number)
            assert done == [f"first good {number}" for number in range(1, 21)]
            stop.set()
            await outbox.put(remark(SOUND, 21))
            assert (await _until(outbox, 21))[-1].split()[2] == "21"
            await outbox.put(remark(SOUND, 22))
            assert (await _until(outbox, 22))[-1] == "second good 22"
    await second.sessions.close()


@pytest.mark.parametrize("failures", [0, 1, 2], ids=["batch", "one-by-one", "retry"])
async def test_f16_a_relay_killed_inside_a_reaction_does_its_work_once(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """After as many ordinary failures, the connection dies with the reaction half done."""
    monkeypatch.setattr(relaying, "STANDBY_S", 0.05)
    tell, calls = noting("tell"), [0]

    async def die_once(session: AsyncSession, events: Sequence[Recorded[Any]], tick: Tick) -> None:
        await tell(session, events, tick)
        calls[0] += 1
        if calls[0] <= failures:
            raise ValueError
        if calls[0] == failures + 1:
            await _kill(outbox, await session.scalar(text("SELECT pg_backend_pid()")))
            await session.execute(text("SELECT 1"))

    async with _running(relay_of(outbox.resources, die_once)):
        await outbox.put(remark(SOUND, 1))
        async with asyncio.timeout(10):
            while calls[0] <= failures:
                outbox.clock.advance(timedelta(seconds=1))
                await asyncio.sleep(0.02)
        await outbox.put(remark(SOUND, 2))
        outbox.clock.advance(timedelta(seconds=1))
        assert await _until(outbox, 2) == ["tell good 1", "tell good 2"]
    assert await outbox.parked() == []


async def test_f13_a_relay_whose_idle_connection_is_killed_comes_back(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "STANDBY_S", 0.05)
    async with _running(relay_of(outbox.resources, noting("tell"))):
        await outbox.put(remark(SOUND, 1))
        await _until(outbox, 1)
        holder = await _lock_holder(outbox)
        assert holder is not None
        await _kill(outbox, holder)
        await outbox.put(remark(SOUND, 2))
        assert await _until(outbox, 2) == ["tell good 1", "tell good 2"]


async def _kill(outbox: Outbox, pid: int) -> None:
    async with outbox.resources.sessions.read() as session:
        await session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})


async def test_a_relay_survives_its_own_bugs(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "STANDBY_S", 0.05)
    relay = relay_of(outbox.resources, noting("tell"))
    work, broken = relay.work, [True]

    async def sometimes(connection: Any) -> int:
        if broken:
            broken.clear()
            raise RuntimeError("a bug")
        return await work(connection)

    monkeypatch.setattr(relay, "work", sometimes)
    async with _running(relay):
        await outbox.put(remark(SOUND, 1))
        assert await _until(outbox, 1) == ["tell good 1"]
    assert await _lock_holder(outbox) is None
