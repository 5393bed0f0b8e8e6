"""Nobody took it, nobody is above, nobody is there: each consequence once, whoever looks."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from app.incidents.models import Step
from app.routing.escalation import Clocks
from app.system.invariants import check_all
from tests.district import KONGTONG, District
from tests.incidents.paths import (
    LEADER,
    TOWNSHIP,
    WORKER,
    incident_in,
    pass_time,
    rows_of,
    walk,
)
from tests.incidents.waiting import happened, titles, unit_of, workers


async def test_no_climb_is_made_twice_by_any_number_of_workers(district: District) -> None:
    """All the way up, four workers at each moment, each of them started anew."""
    incidents = [await incident_in(district, "submitted") for _ in range(2)]
    for _ in range(16):
        district.clock.advance(timedelta(days=1))
        await workers(district)
    climb = ["overdue", "card yellow", "climb"]
    for incident in incidents:
        rows = await rows_of(district, incident)
        assert happened(rows) == [*climb, *climb, "overdue", "card yellow", "card red"]
        opened = [event for event in rows.events if event.name == "incident.step_opened"]
        assert len(opened) == len(rows.steps) == 3
    await district.drain()
    for incident in incidents:
        told = await titles(district, WORKER, incident)
        assert sum("已自动上报至" in title for title in told) == 2


async def test_a_worker_that_dies_at_any_moment_leaves_nothing_half_done(
    district: District,
) -> None:
    """Stopped after one more breath each time: what it began is undone, the next one does it."""
    incident = await incident_in(district, "submitted")
    district.clock.advance(timedelta(days=2, minutes=1))
    whole = ["overdue", "card yellow", "climb"]
    seen = set()
    for breaths in range(0, 4000, 13):
        dying = asyncio.create_task(Clocks(district.resources).work())
        for _ in range(breaths):
            await asyncio.sleep(0)
        dying.cancel()
        with suppress(asyncio.CancelledError):
            await dying
        rows = await rows_of(district, incident)
        done = happened(rows)
        assert done == whole[: len(done)]
        told = [e.payload["history_seq"] for e in rows.events if "history_seq" in e.payload]
        assert sorted(set(told)) == [entry.seq for entry in rows.history[1:]]
        seen.add(len(done))
        if done == whole:
            break
    await workers(district)
    assert happened(await rows_of(district, incident)) == whole
    assert 0 in seen


async def test_where_nobody_is_above_the_leaders_hear_of_the_card(district: District) -> None:
    """At the top it cannot climb: it is red, and who leads the district is told."""
    incident = (await district.report(urgency="urgent"))["id"]
    await walk(district, incident, (TOWNSHIP, "escalate", {"reason": "需区里协调"}))
    await pass_time(district, timedelta(hours=2, minutes=1))
    rows = await rows_of(district, incident)
    assert await unit_of(district, incident) == KONGTONG
    assert happened(rows) == ["overdue", "card yellow", "card red"]
    assert {"黄牌督办", "红牌督办"} <= set(await titles(district, LEADER, incident))
    assert "红牌督办" not in await titles(district, WORKER, incident)


async def test_what_can_not_be_woken_is_found_by_the_check(district: District) -> None:
    """It is tried again and again; meanwhile it is not silently dead."""
    incident = await incident_in(district, "submitted")
    async with district.resources.sessions.begin() as session:
        step = (await rows_of(district, incident)).current[0]
        found = await session.get_one(Step, step.id)
        found.clock_phase = "of another version"
    await pass_time(district, timedelta(days=1))
    assert happened(await rows_of(district, incident)) == []
    async with district.resources.sessions.begin() as session:
        (await session.get_one(Step, step.id)).clock_phase = "running"
        later = district.clock.now() + timedelta(minutes=16)
        broken = await check_all(session, later)
    assert [(each.invariant, each.what) for each in broken] == [
        ("V3", "a clock ran out and has no consequence")
    ]
    await pass_time(district, timedelta(minutes=6))
    assert happened(await rows_of(district, incident)) == ["overdue", "card yellow"]
