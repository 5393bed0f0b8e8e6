"""Wakeups: hints that may get lost, double or late, and that never wake the wrong one."""

import asyncio
from collections.abc import AsyncIterator
from typing import LiteralString

import psycopg
import pytest

from app.core import wakeups as waking
from app.core.db import new_id
from app.core.wakeups import CHANNEL, MemoryWakeups, PostgresWakeups, Waiter, listening

SHORT, LONG = 0.05, 10.0


async def _asleep(*waiters: Waiter) -> None:
    for waiter in waiters:
        assert not await waiter.wait(SHORT)


# --- waiters


async def test_a_waiter_hears_its_own_subjects_only() -> None:
    wakeups = MemoryWakeups()
    with listening(wakeups, "a", "b") as both, listening(wakeups, "c") as other:
        await wakeups.publish(["b"])
        assert await both.wait(LONG)
        await _asleep(both, other)


async def test_what_was_published_before_the_wait_is_not_missed() -> None:
    """Subscribe, read, wait: a hint between reading and waiting still wakes."""
    wakeups = MemoryWakeups()
    with listening(wakeups, "a") as waiter:
        await wakeups.publish(["a"])
        assert await waiter.wait(LONG)


async def test_every_waiter_of_a_subject_is_woken_and_forgotten_ones_are_not() -> None:
    wakeups = MemoryWakeups()
    first, second = wakeups.listen("a"), wakeups.listen("a")
    gone = wakeups.listen("a")
    wakeups.forget(gone)
    wakeups.forget(gone)
    await wakeups.publish(["a", "a", "nobody's"])
    assert await first.wait(LONG)
    assert await second.wait(LONG)
    await _asleep(gone)


async def test_a_wait_in_vain_ends_in_time() -> None:
    waiter = MemoryWakeups().listen("a")
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert not await waiter.wait(SHORT)
    assert SHORT * 0.9 <= loop.time() - began < LONG


async def test_wake_all_wakes_everybody() -> None:
    wakeups = MemoryWakeups()
    waiters = [wakeups.listen(subject) for subject in ("a", "b")]
    wakeups.wake_all()
    assert [await waiter.wait(LONG) for waiter in waiters] == [True, True]


async def test_the_double_drops_what_it_is_told_to_drop() -> None:
    wakeups = MemoryWakeups()
    waiter = wakeups.listen("a")
    wakeups.dropping = True
    await wakeups.publish(["a"])
    await _asleep(waiter)
    assert wakeups.published == ["a"]


# --- over PostgreSQL


@pytest.fixture
async def pair(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[PostgresWakeups, PostgresWakeups]]:
    """Two processes on one database; the first listens."""
    monkeypatch.setattr(waking, "_RECONNECT_S", 0.02)
    here, there = PostgresWakeups(database_url), PostgresWakeups(database_url)
    ready = here.listen("anything")
    here.start()
    assert await ready.wait(LONG), "a listener that has just connected makes everybody look"
    here.forget(ready)
    yield here, there
    await here.close()
    await there.close()


async def _run(database_url: str, statement: LiteralString, *values: str) -> int:
    """How many rows the statement gave."""
    dsn = database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        cursor = await connection.execute(statement, values)
        return len(await cursor.fetchall())


async def _kill(database_url: str, last_query: str) -> int:
    return await _run(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND starts_with(query, %s)",
        last_query,
    )


async def test_a_hint_crosses_from_process_to_process(
    pair: tuple[PostgresWakeups, PostgresWakeups],
) -> None:
    here, there = pair
    with listening(here, "inbox:a") as mine, listening(here, "inbox:b") as other:
        await there.publish({"inbox:a"})
        assert await mine.wait(LONG)
        await _asleep(other)
        await here.publish({"inbox:b"})
        assert await other.wait(LONG)


async def test_more_subjects_than_one_message_holds_all_arrive(
    pair: tuple[PostgresWakeups, PostgresWakeups],
) -> None:
    """PostgreSQL refuses a payload of 8,000 bytes; 500 inboxes need three messages."""
    here, there = pair
    subjects = [f"inbox:{new_id()}" for _ in range(500)]
    waiters = [here.listen(subject) for subject in subjects]
    await there.publish(subjects)
    assert all([await waiter.wait(LONG) for waiter in waiters])
    await there.publish([])


@pytest.mark.parametrize("payload", ["", "no json", "17", "{}", "[1, null]"])
async def test_a_message_that_is_none_of_ours_does_not_end_the_listening(
    pair: tuple[PostgresWakeups, PostgresWakeups], database_url: str, payload: str
) -> None:
    here, there = pair
    with listening(here, "inbox:a") as waiter:
        await _run(database_url, "SELECT pg_notify(%s, %s)", CHANNEL, payload)
        await there.publish(["inbox:a"])
        assert await waiter.wait(LONG)


async def test_after_a_gap_in_listening_everybody_looks(
    pair: tuple[PostgresWakeups, PostgresWakeups], database_url: str
) -> None:
    here, there = pair
    with listening(here, "inbox:a") as waiter:
        assert await _kill(database_url, "LISTEN") == 1
        assert await waiter.wait(LONG)
        await there.publish(["inbox:a"])
        assert await waiter.wait(LONG)


async def test_a_sender_that_lost_its_connection_loses_a_hint_and_recovers(
    pair: tuple[PostgresWakeups, PostgresWakeups], database_url: str
) -> None:
    here, there = pair
    with listening(here, "inbox:a") as waiter:
        await there.publish(["inbox:a"])
        assert await waiter.wait(LONG)
        assert await _kill(database_url, "SELECT pg_notify") == 1
        await there.publish(["inbox:a"])
        await there.publish(["inbox:a"])
        assert await waiter.wait(LONG)


async def test_without_a_database_publishing_raises_nothing() -> None:
    nowhere = PostgresWakeups("postgresql+psycopg://nobody@127.0.0.1:1/none")
    await nowhere.publish(["inbox:a"])
    await nowhere.close()
    assert nowhere.listen("inbox:a") is not None
