"""The relay: in order per subject, poison parked, everybody else served, told after the commit."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import structlog.testing
from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import relay as relaying
from app.core.db import Sessions, make_engine, new_id
from app.core.events import OutboxRow, Recorded, record
from app.core.parking import TRIES, ParkedReaction
from app.core.relay import Reaction, Reactions, Relay, Tick
from app.core.resources import Resources
from app.core.wakeups import MemoryWakeups
from app.incidents.events import IncidentCommented, IncidentRated
from tests.conftest import NOON
from tests.district import DatabaseServer, District

POISONED, SOUND, OTHER = new_id(), new_id(), new_id()
Done = list[tuple[str, UUID, int]]
"""Reaction, subject, number of the event, in the order in which they were committed."""


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


@pytest.fixture(scope="module")
async def place(server: DatabaseServer, migrated_template: str) -> AsyncIterator[District]:
    """An empty database with the doubles around it."""
    name = server.create(template=migrated_template)
    async with District.opened(server.url(name), NOON) as district:
        yield district
    server.drop(name)


@pytest.fixture
async def outbox(place: District) -> AsyncIterator["Outbox"]:
    async with place.resources.sessions.begin() as session:
        await session.execute(delete(OutboxRow))
        await session.execute(delete(ParkedReaction))
        await session.execute(text("CREATE TABLE IF NOT EXISTS done (id bigserial, what text)"))
        await session.execute(text("TRUNCATE done"))
    place.wakeups.published.clear()
    return_to = place.resources.wakeups
    yield Outbox(place)
    place.resources.wakeups = return_to


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """What was logged; rendering every traceback with its locals takes seconds."""
    with structlog.testing.capture_logs() as entries:
        yield entries


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


# --- what can't be worked off


async def test_an_event_this_version_can_not_read_is_flagged_and_not_lost(
    outbox: Outbox,
) -> None:
    await outbox.put(remark(SOUND, 1), remark(SOUND, 2), remark(SOUND, 3))
    async with outbox.resources.sessions.begin() as session:
        rows = (await session.scalars(select(OutboxRow).order_by(OutboxRow.id))).all()
        rows[0].name = "incident.from_the_future"
        rows[1].payload = {"incident_id": "no uuid"}
    assert await outbox.drain(noting("tell")) == 3
    assert await outbox.done() == ["tell good 3"]
    parked = await outbox.parked()
    assert [(row.event_id, row.reaction, row.next_attempt_at) for row in parked] == [
        (rows[0].id, "parse", None),
        (rows[1].id, "parse", None),
    ]
    assert all(row.error for row in parked)


async def test_f27_a_failing_reaction_parks_its_subject_and_everybody_else_goes_on(
    outbox: Outbox,
) -> None:
    await outbox.put(*(remark(who, n) for n in (1, 2) for who in (POISONED, SOUND, OTHER)))
    await outbox.drain(noting("route", poison), noting("tell"))
    done = await outbox.done()
    assert [line for line in done if line.startswith("route")] == [
        "route good 1", "route other 1", "route good 2", "route other 2",
    ]  # fmt: skip
    # the other reaction of the same subject is not held up either
    assert [line for line in done if line.startswith("tell bad")] == ["tell bad 1", "tell bad 2"]
    assert [(row.reaction, row.attempts) for row in await outbox.parked()] == [
        ("route", 1),
        ("route", 0),
    ]
    assert await outbox.waiting() == 0


async def test_f27_later_events_wait_behind_also_when_they_come_later(outbox: Outbox) -> None:
    await outbox.put(remark(POISONED, 1))
    await outbox.drain(noting("route", poison))
    await outbox.put(remark(POISONED, 2), remark(SOUND, 1))
    await outbox.drain(noting("route"))
    # the reaction would work by now, but its subject's turn is with the first event
    assert await outbox.done() == ["route good 1"]
    outbox.clock.advance(timedelta(seconds=1))
    await outbox.drain(noting("route"))
    assert await outbox.done() == ["route good 1", "route bad 1", "route bad 2"]
    assert await outbox.parked() == []


async def test_f27_tries_come_at_growing_intervals_and_end_after_five(
    outbox: Outbox, logged: list[Any]
) -> None:
    await outbox.put(remark(POISONED, 1), remark(POISONED, 2))
    tried: list[timedelta] = []
    began = outbox.clock.now()

    def fails(recorded: Recorded[Any]) -> bool:
        if recorded.event.history_seq == 1 and len(tried) < TRIES + 1:
            tried.append(outbox.clock.now() - began)
        return bool(recorded.event.history_seq == 1)

    await outbox.drain(noting("route", fails))
    waits = (1, 10, 60, 600)
    for seconds in waits:
        outbox.clock.advance(timedelta(seconds=seconds - 0.5))
        await outbox.drain(noting("route", fails))
        outbox.clock.advance(timedelta(seconds=0.5))
        await outbox.drain(noting("route", fails))
    # once in the batch and once alone, then at each wait
    assert tried == [timedelta(seconds=s) for s in (0, 0, 1, 11, 71, 671)]
    (given_up,) = await outbox.parked()
    assert (given_up.attempts, given_up.next_attempt_at) == (TRIES, None)
    assert "can't do 1" in given_up.error
    flagged = [entry for entry in logged if entry["event"] == "reaction_skipped"]
    assert [(entry["reaction"], entry["log_level"]) for entry in flagged] == [("route", "error")]
    # what waited behind it goes on
    assert await outbox.done() == ["route bad 2"]
    outbox.clock.advance(timedelta(days=1))
    assert await outbox.drain(noting("route", fails)) == 0


async def test_a_parked_event_nobody_can_read_any_more_does_not_stop_the_rest(
    outbox: Outbox,
) -> None:
    await outbox.put(remark(POISONED, 1))
    await outbox.drain(noting("route", poison))
    async with outbox.resources.sessions.begin() as session:
        await session.execute(text("UPDATE domain_events SET name = 'incident.gone'"))
    await outbox.put(remark(SOUND, 1))
    outbox.clock.advance(timedelta(seconds=1))
    await outbox.drain(noting("route"))
    assert await outbox.done() == ["route good 1"]
    assert [row.attempts for row in await outbox.parked()] == [2]


async def test_f27_a_reaction_that_breaks_its_own_statement_spoils_nothing(
    outbox: Outbox,
) -> None:
    async def break_sql(session: AsyncSession, events: Sequence[Recorded[Any]], _: Tick) -> None:
        if any(poison(event) for event in events):
            await session.execute(text("SELECT 1 / 0"))

    await outbox.put(remark(POISONED, 1), remark(SOUND, 1))
    await outbox.drain(noting("tell"), break_sql)
    assert await outbox.done() == ["tell bad 1", "tell good 1"]
    assert [row.reaction for row in await outbox.parked()] == ["break_sql"]


async def test_what_a_failed_reaction_had_written_is_gone(outbox: Outbox) -> None:
    tell = noting("tell")

    async def half(session: AsyncSession, events: Sequence[Recorded[Any]], tick: Tick) -> None:
        await tell(session, events, tick)
        raise RuntimeError

    await outbox.put(remark(SOUND, 1))
    await outbox.drain(half)
    assert await outbox.done() == []
    assert [row.reaction for row in await outbox.parked()] == ["half"]


# --- order


async def test_events_of_one_subject_are_worked_off_in_their_order(outbox: Outbox) -> None:
    await outbox.put(*(remark(who, n) for n in range(1, 6) for who in (SOUND, OTHER)))
    assert await outbox.drain(noting("route"), noting("tell")) == 10
    for name in ("route", "tell"):
        lines = [line for line in await outbox.done() if line.startswith(f"{name} good")]
        assert lines == [f"{name} good {n}" for n in range(1, 6)]


async def test_reactions_follow_each_other_alike_in_a_batch_and_one_by_one(
    outbox: Outbox,
) -> None:
    async def fail(_: AsyncSession, events: Sequence[Recorded[Any]], __: Tick) -> None:
        if any(poison(event) for event in events):
            raise RuntimeError

    tell, note = noting("tell"), noting("note")
    # what another event lists first comes first everywhere
    listed: Reactions = {IncidentRated: (tell,), IncidentCommented: (fail, note, tell)}
    for subject in (SOUND, POISONED):
        await outbox.put(remark(subject, 1))
        await Relay(outbox.resources, listed).drain()
    assert await outbox.done() == ["tell good 1", "note good 1", "tell bad 1", "note bad 1"]


async def test_an_event_that_commits_late_with_a_small_number_is_not_skipped(
    outbox: Outbox,
) -> None:
    """Ids commit out of order: what waits is read by state, never by a cursor."""
    async with outbox.resources.sessions.read() as slow:
        await record(slow, remark(SOUND, 1), at=NOON)
        await outbox.put(remark(OTHER, 2))
        await outbox.drain(noting("tell"))
        await slow.commit()
    await outbox.drain(noting("tell"))
    assert await outbox.done() == ["tell other 2", "tell good 1"]


async def test_more_events_than_a_batch_holds_are_all_worked_off(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "BATCH", 4)
    await outbox.put(*(remark(SOUND, n) for n in range(1, 11)))
    assert await outbox.drain(noting("tell")) == 10
    assert await outbox.done() == [f"tell good {n}" for n in range(1, 11)]


async def test_events_without_reactions_are_done_with(outbox: Outbox) -> None:
    await outbox.put(remark(SOUND, 1))
    assert await Relay(outbox.resources, {}).drain() == 1
    assert await outbox.waiting() == 0


# --- wakeups


class _Checking(MemoryWakeups):
    """Looks, from another connection, whether what it announces can be read already."""

    def __init__(self, look: Callable[[], Awaitable[list[str]]]) -> None:
        super().__init__()
        self._look = look
        self.seen: list[tuple[list[str], list[str]]] = []

    async def publish(self, subjects: Iterable[str]) -> None:
        wanted = sorted(subjects)
        if wanted:
            self.seen.append((wanted, await self._look()))


@pytest.mark.parametrize("failing", [False, True])
async def test_wakeups_are_published_only_after_the_commit(
    outbox: Outbox, *, failing: bool
) -> None:
    wakeups = _Checking(outbox.done)
    outbox.resources.wakeups = wakeups
    await outbox.put(remark(SOUND, 1), *([remark(POISONED, 1)] if failing else []))
    await outbox.drain(noting("tell", poison))
    assert wakeups.seen == [([f"tell:{SOUND}"], ["tell good 1"])]
    outbox.clock.advance(timedelta(seconds=1))
    await outbox.drain(noting("tell"))
    assert wakeups.seen[1:] == (
        [([f"tell:{POISONED}"], ["tell good 1", "tell bad 1"])] if failing else []
    )


# --- one active relay


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
    with suppress(asyncio.CancelledError):
        async with _running(relay_of(outbox.resources, noting("first"))) as stop:
            await outbox.put(remark(SOUND, 1))
            await _until(outbox, 1)
            async with _running(relay_of(second, noting("second"))):
                for number in range(2, 6):
                    await outbox.put(remark(SOUND, number))
                done = await _until(outbox, 5)
                assert done == [f"first good {number}" for number in range(1, 6)]
                stop.set()
                await outbox.put(remark(SOUND, 6))
                assert (await _until(outbox, 6))[-1].split()[2] == "6"
                await outbox.put(remark(SOUND, 7))
                assert (await _until(outbox, 7))[-1] == "second good 7"
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
