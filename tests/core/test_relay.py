"""The relay: in order per subject, poison parked, everybody else served, told after the commit."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import relay as relaying
from app.core.events import OutboxRow, Recorded, record
from app.core.metrics import Metrics
from app.core.parking import TRIES, ParkedReaction
from app.core.relay import Reactions, Relay, Tick
from app.core.wakeups import MemoryWakeups
from app.flagged import flagged, republish
from app.incidents.events import IncidentCommented, IncidentRated
from app.system.ages import register_ages
from tests.conftest import NOON
from tests.core.outbox import OTHER, POISONED, SOUND, Outbox, noting, poison, remark

pytestmark = pytest.mark.usefixtures("logged")


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


async def test_f27_what_was_given_up_is_counted_shown_and_tried_again_when_told_to(
    outbox: Outbox,
) -> None:
    await outbox.put(remark(POISONED, 1), remark(SOUND, 1))
    async with outbox.resources.sessions.begin() as session:
        await session.execute(update(OutboxRow).values(recorded_at=outbox.clock.now()))
    register_ages(outbox.resources)
    for tried in range(TRIES):
        waited = (await outbox.resources.the(Metrics).ages())["outbox_oldest_seconds"]
        assert waited == tried * 3600
        await outbox.drain(noting("route", poison), noting("tell"))
        outbox.clock.advance(timedelta(hours=1))
    counted = await outbox.resources.the(Metrics).ages()
    assert counted["reactions_given_up"] == 1
    assert counted["outbox_oldest_seconds"] == 0
    (given_up,) = await outbox.parked()
    said: list[str] = []
    async with outbox.resources.sessions.begin() as session:
        assert await flagged(session, said.append) == 0
        assert said[0].split()[:2] == [str(given_up.event_id), "incident.commented"]
        assert "route: ValueError" in said[0]
        assert await republish(session, [given_up.event_id + 1], said.append) == 1
        assert await republish(session, [], said.append) == 0
    await _not_before_it_is_due(outbox)
    await outbox.drain(noting("route"), noting("tell"))
    assert sorted(await outbox.done()) == [
        "route bad 1",
        "route good 1",
        "tell bad 1",
        "tell good 1",
    ]
    assert await outbox.parked() == []


async def test_f27_an_event_that_can_be_read_by_now_has_all_its_reactions(outbox: Outbox) -> None:
    await outbox.put(remark(SOUND, 1))
    await _rename(outbox, "incident.commented", "incident.from_the_future")
    await outbox.drain(noting("route"), noting("tell"))
    assert await outbox.done() == []
    await _rename(outbox, "incident.from_the_future", "incident.commented")
    async with outbox.resources.sessions.begin() as session:
        assert await republish(session, [], lambda _: None) == 0
    await outbox.drain(noting("route"), noting("tell"))
    assert await outbox.done() == ["route good 1", "tell good 1"]
    assert await outbox.parked() == []


async def _rename(outbox: Outbox, name: str, other: str) -> None:
    async with outbox.resources.sessions.begin() as session:
        await session.execute(update(OutboxRow).where(OutboxRow.name == name).values(name=other))


async def _not_before_it_is_due(outbox: Outbox) -> None:
    """The operator's clock is the machine's."""
    async with outbox.resources.sessions.begin() as session:
        await session.execute(update(ParkedReaction).values(next_attempt_at=outbox.clock.now()))


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
