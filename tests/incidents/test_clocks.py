"""Clocks and their consequences: cards, climbing, standing in; each once, whoever looks."""

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, text

from app.accounts.models import Platform, RoleHolding
from app.accounts.recognition import CallerCache
from app.areas.models import Area
from app.incidents.models import Incident
from app.routing.escalation import Clocks
from app.system.invariants import check_all
from tests.district import KONGTONG, LIUHU, POLICE_LIUHU, YONGHONG, District
from tests.incidents.paths import (
    ACCEPT,
    DESK,
    DISPATCH,
    POLICE,
    SIGN,
    TOP,
    TOWNSHIP,
    WORKER,
    found_unit,
    incident_in,
    look,
    pass_time,
    rows_of,
    walk,
)
from tests.incidents.waiting import happened, titles, unit_of


async def _empty(district: District, code: str) -> None:
    """Nobody works there any more."""
    async with district.resources.sessions.begin() as session:
        unit = await found_unit(session, code)
        for held in await session.scalars(
            select(RoleHolding).where(RoleHolding.unit_id == unit.id)
        ):
            await session.delete(held)
        for platform in await session.scalars(select(Platform).where(Platform.unit_id == unit.id)):
            platform.state = "disabled"
    district.resources.the(CallerCache).clear()


async def test_what_nobody_accepts_gets_a_card_and_climbs_to_the_top(district: District) -> None:
    """A routine matter: a working day each, and as much again before it climbs."""
    incident = await incident_in(district, "submitted")
    await pass_time(district, timedelta(days=1))  # Thursday noon: due at the very minute
    assert happened(await rows_of(district, incident)) == ["overdue", "card yellow"]
    assert (await look(district, DESK, incident))["step"]["supervision"] == "yellow"
    assert "黄牌督办" in await titles(district, TOWNSHIP, incident)
    await pass_time(district, timedelta(hours=23))
    assert await unit_of(district, incident) == YONGHONG
    await pass_time(district, timedelta(hours=1))
    assert await unit_of(district, incident) == LIUHU
    assert "已自动上报至" in " ".join(await titles(district, WORKER, incident))
    for _ in range(14):
        await pass_time(district, timedelta(days=1))
    rows = await rows_of(district, incident)
    assert await unit_of(district, incident) == KONGTONG
    climb = ["overdue", "card yellow", "climb"]
    assert happened(rows) == [*climb, *climb, "overdue", "card yellow", "card red"]
    assert (rows.current[0].supervision, rows.incident.wakes_at) == ("red", None)


async def test_routine_handling_is_yellow_after_three_and_red_after_seven_days(
    district: District,
) -> None:
    incident = await incident_in(district, "in_progress")
    step = (await rows_of(district, incident)).current[0]
    zone = district.resources.settings.zone
    days = [
        at and at.astimezone(zone).strftime("%m-%d %H:%M")
        for at in (step.due_at, step.yellow_card_at, step.red_card_at)
    ]
    assert days == ["03-18 12:00", "03-23 12:00", "03-27 12:00"]
    seen = {}
    for day in range(12, 31):
        await pass_time(district, timedelta(days=1))
        seen[day] = happened(await rows_of(district, incident))
    assert (seen[17], seen[18]) == ([], ["overdue"])
    assert (seen[22], seen[23]) == (["overdue"], ["overdue", "card yellow"])
    assert seen[27] == seen[30] == ["overdue", "card yellow", "card red"]


async def test_the_clock_never_waits_for_a_signature(district: District) -> None:
    incident = (await district.report(urgency="urgent"))["id"]
    await walk(district, incident, ACCEPT, DISPATCH)
    await pass_time(district, timedelta(minutes=59))
    assert (await look(district, POLICE, incident))["state"] == "dispatched"
    await pass_time(district, timedelta(minutes=1))
    shown = await look(district, POLICE, incident)
    assert (shown["state"], shown["step"]["remaining"]) == ("in_progress", 24 * 3600)
    assert happened(await rows_of(district, incident)) == ["auto_sign"]


async def test_where_a_centre_lets_time_run_out_its_parent_may_act(district: District) -> None:
    incident = (await district.report(urgency="urgent"))["id"]
    await walk(district, incident, ACCEPT)
    await pass_time(district, timedelta(hours=1))
    assert "黄牌督办" in await titles(district, TOP, incident)
    assert "dispatch" not in (await look(district, TOP, incident))["allowed_actions"]
    await pass_time(district, timedelta(hours=1))
    assert "红牌督办" in await titles(district, TOP, incident)
    shown = await walk(district, incident, (TOP, "dispatch", {"to_unit": POLICE_LIUHU}))
    assert shown["step"]["unit"]["code"] == POLICE_LIUHU


async def test_the_parent_may_verify_where_that_is_overdue(district: District) -> None:
    incident = (await district.report(urgency="urgent"))["id"]
    await walk(
        district, incident, ACCEPT, DISPATCH, SIGN, (POLICE, "complete", {"outcome": "已办"})
    )
    assert "verify_pass" not in (await look(district, TOP, incident))["allowed_actions"]
    await pass_time(district, timedelta(hours=48, minutes=1))
    shown = await walk(district, incident, (TOP, "verify_pass", {}))
    assert shown["state"] == "closed"


async def test_a_unit_without_staff_is_not_waited_for(district: District) -> None:
    incident = (await district.report(urgency="urgent"))["id"]
    await walk(district, incident, ACCEPT, DISPATCH, SIGN)
    village = await incident_in(district, "submitted")
    for code in (POLICE_LIUHU, YONGHONG):
        await _empty(district, code)
    await pass_time(district, timedelta(hours=24))
    assert await unit_of(district, incident) == LIUHU
    assert happened(await rows_of(district, incident)) == ["overdue", "recall"]
    assert await unit_of(district, village) == LIUHU
    assert happened(await rows_of(district, village)) == ["overdue", "climb"]


async def test_above_an_empty_township_it_climbs_to_the_district(district: District) -> None:
    incident = await incident_in(district, "submitted")
    await _empty(district, LIUHU)
    await pass_time(district, timedelta(days=2))
    assert await unit_of(district, incident) == KONGTONG


async def test_no_card_is_drawn_twice_by_any_number_of_workers(district: District) -> None:
    """Eight at once, again after a restart, and after the clock was set back."""
    incidents = [await incident_in(district, "submitted") for _ in range(3)]
    district.clock.advance(timedelta(days=1))
    await asyncio.gather(*(Clocks(district.resources).work() for _ in range(8)))
    for back in (timedelta(), timedelta(minutes=5)):
        district.clock.advance(-back)
        await asyncio.gather(*(Clocks(district.resources).work() for _ in range(2)))
    for incident in incidents:
        rows = await rows_of(district, incident)
        assert happened(rows) == ["overdue", "card yellow"]
        names = [event.name for event in rows.events]
        assert names.count("incident.supervised") == names.count("incident.overdue") == 1
    await district.drain()


async def test_a_card_that_somebody_drew_before_is_not_drawn_again(district: District) -> None:
    incident = await incident_in(district, "submitted")
    await walk(district, incident, (TOWNSHIP, "supervise", {"level": "yellow"}))
    await pass_time(district, timedelta(days=1, hours=1))
    rows = await rows_of(district, incident)
    assert happened(rows) == ["overdue"]
    assert rows.current[0].clock_phase == "yellow"


async def test_what_fails_does_not_stand_in_the_way_of_others(district: District) -> None:
    broken, whole = [await incident_in(district, "submitted") for _ in range(2)]
    async with district.resources.sessions.begin() as session:
        incident = await session.scalar(select(Incident).where(Incident.id == broken))
        assert incident is not None
        incident.current_step_id = None  # nothing the clock could act upon
        incident.wakes_at = district.clock.now()
    await pass_time(district, timedelta(days=1))
    assert happened(await rows_of(district, whole)) == ["overdue", "card yellow"]
    rows = await rows_of(district, broken)
    assert rows.incident.wakes_at is not None
    assert rows.incident.wakes_at > district.clock.now()


async def test_f23_deadlines_are_monotone_when_the_servers_clock_goes_back(
    district: District,
) -> None:
    """Each clock begins no earlier than the one before, though the server's is five minutes off."""
    incident = (await district.report(urgency="urgent"))["id"]
    starts, opened = [], await rows_of(district, incident)
    starts.append(opened.current[0].clock_started_at)
    for move in (ACCEPT, DISPATCH, SIGN, (POLICE, "complete", {"outcome": "已办"})):
        district.clock.advance(-timedelta(minutes=5))
        await walk(district, incident, move)
        starts.append((await rows_of(district, incident)).current[0].clock_started_at)
    assert starts == [starts[0]] * 5
    district.clock.advance(timedelta(hours=1))
    await walk(district, incident, (TOWNSHIP, "verify_fail", {"reason": "未清"}))
    step = (await rows_of(district, incident)).current[0]
    assert step.clock_started_at is not None
    assert starts[-1] is not None
    assert step.clock_started_at > starts[-1]


async def test_f23_a_card_stays_drawn_when_the_servers_clock_goes_back(district: District) -> None:
    incident = await incident_in(district, "submitted")
    await pass_time(district, timedelta(days=1))
    await pass_time(district, -timedelta(minutes=5))
    await pass_time(district, timedelta(minutes=5))
    assert happened(await rows_of(district, incident)) == ["overdue", "card yellow"]


async def test_f31_whatever_unit_is_switched_off_mid_flight_a_matter_has_its_owner(
    district: District,
) -> None:
    """In every state, each unit of the line taken out: it goes on to somebody, never to nobody."""
    incidents = {
        state: await incident_in(district, state)
        for state in ("submitted", "accepted", "dispatched", "in_progress", "handled", "suspended")
    }
    async with district.resources.sessions.begin() as session:
        for code in (YONGHONG, LIUHU, POLICE_LIUHU):
            (await found_unit(session, code)).active = False
    district.resources.the(CallerCache).clear()
    for _ in range(70):
        await pass_time(district, timedelta(days=1))
        async with district.resources.sessions.read() as session:
            lost = await session.scalar(
                select(func.count()).select_from(Incident).where(Incident.owner_unit_id.is_(None))
            )
        assert lost == 0
    for state, incident in incidents.items():
        rows = await rows_of(district, incident)
        step = rows.current[0]
        assert step.unit_id == rows.incident.owner_unit_id, state
        district_desk = await look(district, TOP, incident)
        moves = set(district_desk["allowed_actions"])
        assert moves & {"accept", "dispatch", "hand_down", "verify_pass"}, (state, moves)
    async with district.resources.sessions.read() as session:
        assert await check_all(session, district.clock.now()) == []


async def test_f31_an_old_matter_keeps_its_old_grid_when_the_area_is_split(
    district: District,
) -> None:
    incident = await incident_in(district, "submitted")
    before = (await rows_of(district, incident)).incident
    async with district.resources.sessions.begin() as session:
        area = await session.get_one(Area, before.area_id)
        area.valid_to = district.clock.now()
    await pass_time(district, timedelta(days=2))
    after = (await rows_of(district, incident)).incident
    assert (after.area_id, after.grid_code) == (before.area_id, before.grid_code)
    assert await unit_of(district, incident) == LIUHU


async def test_the_due_row_is_found_by_its_index(district: District) -> None:
    async with district.resources.sessions.read() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await session.scalars(
            text(
                "EXPLAIN SELECT id FROM incidents WHERE wakes_at <= now() ORDER BY wakes_at LIMIT 1"
            )
        )
        assert "ix_incidents_wakes_at" in " ".join(plan)


async def test_a_suspension_across_national_day_counts_working_time_only(
    district: District,
) -> None:
    """Suspended from 29 September noon to 9 October: two and a half working days, not ten."""
    district.clock.set(datetime(2026, 9, 29, 4, tzinfo=UTC))
    incident = await incident_in(district, "accepted")
    await walk(district, incident, DISPATCH, SIGN)
    due = (await rows_of(district, incident)).current[0].due_at
    await walk(
        district, incident, (TOWNSHIP, "suspend", {"reason": "节日", "review_on": "2026-10-09"})
    )
    await pass_time(district, timedelta(days=10))
    step = (await rows_of(district, incident)).current[0]
    # 29 September's afternoon, the 30th, and 8 October; 1 to 7 October are holidays
    assert step.suspended_s == (210 + 420 + 420) * 60
    zone = district.resources.settings.zone
    assert due is not None
    assert due.astimezone(zone).strftime("%m-%d %H:%M") == "10-12 12:00"  # the 10th is worked
    assert step.due_at is not None
    assert step.due_at.astimezone(zone).strftime("%m-%d %H:%M") == "10-14 18:00"
