"""Which limit applies, when it ends, and what light it shows."""

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from app.accounts.models import Unit
from app.categories import seed as categories_seed
from app.categories.queries import CategoryNode, CategoryTree
from app.core.clock import FakeClock
from app.core.db import Sessions, new_id
from app.core.resources import Resources
from app.deadlines import seed
from app.deadlines.defaults import LimitRule
from app.deadlines.limits import (
    Deadlines,
    current_deadlines,
    light,
    load,
    remaining_s,
)
from app.deadlines.models import CalendarDay, Limit, OfficeHours, Stage
from app.deadlines.seed import published_days
from app.deadlines.workdays import Workdays

ZONE = ZoneInfo("Asia/Shanghai")
DAY = 420
HOUR = 60
MONDAY = datetime(2026, 3, 9, 8, 30, tzinfo=ZONE)
UNIT = UUID("01900000-0000-7000-8000-0000000000aa")
STAGES: tuple[Stage, ...] = ("accept", "dispatch", "sign", "handle", "verify")
DEFAULTS = {
    "critical": ("always", (15, 15, 15, 2 * HOUR, 24 * HOUR)),
    "urgent": ("always", (HOUR, HOUR, HOUR, 24 * HOUR, 24 * HOUR)),
    "routine": ("working", (DAY, DAY, DAY, 5 * DAY, 2 * DAY)),
    "complex": ("working", (2 * DAY, DAY, DAY, 15 * DAY, 3 * DAY)),
}
TABLE = [
    (urgency, stage, minutes, calendar)
    for urgency, (calendar, amounts) in DEFAULTS.items()
    for stage, minutes in zip(STAGES, amounts, strict=True)
]
TREE = CategoryTree(
    [
        CategoryNode("02", None, "安全隐患"),
        CategoryNode("0201", "02", "消防"),
        CategoryNode("020101", "0201", "通道"),
        CategoryNode("04", None, "市容环境"),
    ]
)


def deadlines(
    *rules: LimitRule, hours: dict[UUID | None, list[list[str]]] | None = None
) -> Deadlines:
    listed = Workdays((row["day"], row["kind"]) for row in published_days())
    return Deadlines(rules, hours or {}, listed, ZONE, TREE)


def at(text: str) -> datetime:
    return datetime.strptime(f"2026-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=ZONE)


def test_unknown_urgency_is_an_error() -> None:
    with pytest.raises(KeyError):
        deadlines().due("accept", "0201", "whenever", None, MONDAY, None)


@pytest.mark.parametrize(("urgency", "stage", "minutes", "calendar"), TABLE)
async def test_default_limits_are_those_of_the_table(
    session: AsyncSession, urgency: str, stage: Stage, minutes: int, calendar: str
) -> None:
    await categories_seed.seed(session)
    await seed.seed(session)
    for known in (await load(session, ZONE), deadlines()):
        due = known.due(stage, "0201", urgency, "township", MONDAY, None)
        assert (due.minutes, due.calendar) == (minutes, calendar)


async def test_seed_holds_the_table_and_nothing_else(session: AsyncSession) -> None:
    await categories_seed.seed(session)
    await seed.seed(session)
    rows = await session.execute(select(Limit.urgency, Limit.stage, Limit.minutes, Limit.calendar))
    assert sorted(tuple(row) for row in rows) == sorted(TABLE)
    extensions = await session.execute(
        select(Limit.urgency, Limit.stage, Limit.extension_days_max).where(
            Limit.extension_days_max.is_not(None)
        )
    )
    assert [tuple(row) for row in extensions] == [("complex", "handle", 10)]
    first, last = (
        await session.execute(select(func.min(CalendarDay.day), func.max(CalendarDay.day)))
    ).one()
    assert (first.year, last.year) == (2004, 2026)
    hours = (await session.scalars(select(OfficeHours))).one()
    assert hours.sessions == [["08:30", "12:00"], ["14:30", "18:00"]]
    assert hours.unit_id is None


async def test_seeding_again_keeps_what_was_set(session: AsyncSession) -> None:
    await categories_seed.seed(session)
    await seed.seed(session)
    await session.execute(update(Limit).values(minutes=7))
    await session.execute(update(OfficeHours).values(sessions=[["09:00", "17:00"]]))
    await session.execute(update(CalendarDay).values(name="改"))
    await seed.seed(session)
    assert await session.scalar(select(func.count()).select_from(Limit)) == 20
    assert set(await session.scalars(select(Limit.minutes))) == {7}
    assert set(await session.scalars(select(CalendarDay.name))) == {"改"}
    assert await session.scalar(select(func.count()).select_from(OfficeHours)) == 1


async def test_empty_tables_still_have_answers(session: AsyncSession) -> None:
    known = await load(session, ZONE, lambda _: None)
    due = known.due("handle", "0201", "routine", "village", MONDAY, new_id())
    assert due.due_at == at("03-13 18:00")


def test_always_is_exact_to_the_second_at_night_and_on_holidays() -> None:
    start = datetime(2026, 9, 30, 23, 59, 41, 5, tzinfo=ZONE)
    due = deadlines().due("accept", "02", "critical", None, start, None)
    assert due.due_at == start + timedelta(minutes=15)
    assert due.yellow_at == start + timedelta(minutes=11, seconds=15)
    assert due.due_at.tzinfo is UTC


def test_national_day_2026_does_not_count() -> None:
    due = deadlines().due("handle", "02", "routine", None, at("09-30 17:00"), None)
    # 8, 9 and 10 October (a working Saturday), 12 and 13 October
    assert due.due_at == at("10-13 17:00")
    assert due.yellow_at == at("10-12 15:15")  # 525 of 2,100 minutes before


def test_spring_festival_2026_does_not_count() -> None:
    due = deadlines().due("verify", "02", "routine", None, at("02-13 15:00"), None)
    # 14 February is a working Saturday, the next working day is the 24th
    assert due.due_at == at("02-24 15:00")
    assert due.yellow_at == at("02-24 09:00")  # 210 of 840 minutes before


def test_most_specific_limit_wins() -> None:
    rule = LimitRule("routine", "accept", 10, "always")
    least_first = [
        rule,
        LimitRule("routine", "accept", 11, "always", None, "village"),
        LimitRule("routine", "accept", 12, "always", "02"),
        LimitRule("routine", "accept", 13, "always", "02", "village"),
        LimitRule("routine", "accept", 14, "always", "0201"),
        LimitRule("routine", "accept", 15, "always", "0201", "village"),
    ]
    rules: list[LimitRule] = []
    for added in least_first:
        rules.append(added)
        known = deadlines(*reversed(rules))
        assert known.limit("accept", "020101", "routine", "village") is added
    whole = deadlines(*rules)
    assert whole.limit("accept", "020101", "routine", "district").minutes == 14
    assert whole.limit("accept", "02", "routine", "village").minutes == 13
    assert whole.limit("accept", "04", "routine", "village").minutes == 11
    assert whole.limit("accept", "04", "routine", "township") is rule
    assert whole.limit("accept", None, "routine", "village").minutes == 11
    assert whole.limit("accept", "77", "routine", "village").minutes == 11
    assert whole.limit("sign", "0201", "routine", "village").minutes == DAY


def test_working_day_is_as_long_as_the_unit_keeps_it() -> None:
    known = deadlines(hours={UNIT: [["09:00", "12:00"], ["13:00", "18:00"]]})
    own = known.due("handle", "02", "routine", None, at("03-09 09:00"), UNIT)
    assert (own.minutes, own.due_at) == (5 * 480, at("03-13 18:00"))
    other = known.due("handle", "02", "routine", None, at("03-09 09:00"), new_id())
    assert (other.minutes, other.due_at) == (5 * DAY, at("03-16 09:00"))


def test_extension_and_suspension_move_the_end() -> None:
    known = deadlines()
    plain = known.due("handle", "02", "complex", None, MONDAY, None)
    longer = known.due("handle", "02", "complex", None, MONDAY, None, extension_days=2)
    assert plain.due_at == at("03-27 18:00")
    assert (longer.due_at, longer.minutes) == (at("03-31 18:00"), 17 * DAY)
    pause = known.elapsed("working", at("03-10 10:00"), at("03-12 10:00"), None)
    paused = known.due("handle", "02", "complex", None, MONDAY, None, suspended=pause)
    assert pause == timedelta(minutes=2 * DAY)
    assert (paused.due_at, paused.minutes) == (at("03-31 18:00"), 15 * DAY)
    quarter = known.elapsed("working", paused.yellow_at, paused.due_at, None)
    assert quarter == timedelta(minutes=15 * DAY) / 4


@pytest.mark.parametrize(
    ("start", "suspended", "resumed", "due"),
    [
        # 国庆: an hour of the 30th and the 8th count; the 10th is a working Saturday
        ("09-28 09:00", "09-30 17:00", "10-09 08:30", "10-12 10:00"),
        # 春节: from the last minute before noon into the working Saturday before it
        ("02-13 11:59", "02-13 12:00", "02-14 09:00", "02-28 08:59"),
        # all of it within the holiday, at noon, over a night: no office time stood still
        ("02-13 09:00", "02-15 00:00", "02-23 23:59", "02-27 09:00"),
        ("03-11 09:00", "03-11 12:00", "03-11 14:30", "03-18 09:00"),
        ("03-11 09:00", "03-11 18:00", "03-12 08:30", "03-18 09:00"),
        # begun outside office hours, suspended over two working Saturdays
        ("02-12 23:00", "02-13 08:30", "03-02 08:30", "03-06 18:00"),
    ],
)
def test_a_suspension_across_a_holiday_gives_back_office_time_only(
    start: str, suspended: str, resumed: str, due: str
) -> None:
    found = deadlines()
    stood = found.elapsed("working", at(suspended), at(resumed), None)
    got = found.due("handle", "0201", "routine", None, at(start), None, suspended=stood)
    assert got.due_at == at(due)


def test_cards_are_relative_to_the_limit() -> None:
    known = deadlines()
    start = MONDAY
    handle = known.due("handle", "02", "routine", None, start, None)
    assert handle.yellow_card_at == at("03-18 18:00")  # 3 working days over
    assert handle.red_card_at == at("03-24 18:00")  # 7 working days over
    accept = known.due("accept", "02", "critical", None, start, None)
    assert accept.yellow_card_at == accept.due_at
    assert accept.red_card_at == accept.due_at + timedelta(hours=1)  # not 15 minutes
    urgent = known.due("handle", "02", "urgent", None, start, None)
    assert urgent.red_card_at == urgent.due_at + timedelta(hours=24)
    verify = known.due("verify", "02", "routine", None, start, None)
    assert verify.red_card_at == at("03-12 18:00")  # overdue by as much again


def test_light_changes_at_the_last_quarter_and_after_the_end() -> None:
    due = deadlines().due("accept", "02", "urgent", None, MONDAY, None)
    instant = timedelta(microseconds=1)
    assert due.yellow_at == MONDAY + timedelta(minutes=45)
    assert light(MONDAY, due.yellow_at, due.due_at) == "green"
    assert light(due.yellow_at - instant, due.yellow_at, due.due_at) == "green"
    assert light(due.yellow_at, due.yellow_at, due.due_at) == "yellow"
    assert light(due.due_at, due.yellow_at, due.due_at) == "yellow"
    assert light(due.due_at + instant, due.yellow_at, due.due_at) == "red"


@pytest.mark.parametrize(
    ("after", "left"), [(0.0, 60), (0.5, 59), (60.0, 0), (60.5, -1), (90, -30)]
)
def test_remaining_seconds_are_rounded_down(after: float, left: int) -> None:
    end = MONDAY + timedelta(minutes=1)
    assert remaining_s(MONDAY + timedelta(seconds=after), end) == left


@pytest.mark.usefixtures("seeded")
async def test_snapshot_is_at_most_five_seconds_old(
    resources: Resources, sessions: Sessions, clock: FakeClock
) -> None:
    first = await current_deadlines(resources)
    async with sessions.begin() as session:
        await session.execute(update(Limit).where(Limit.stage == "accept").values(minutes=9))
    assert await current_deadlines(resources) is first
    clock.advance(timedelta(seconds=5))
    second = await current_deadlines(resources)
    assert second.limit("accept", "02", "critical", None).minutes == 9


@pytest.mark.usefixtures("seeded")
async def test_unpublished_year_is_said_once_a_process(
    resources: Resources, clock: FakeClock
) -> None:
    start = datetime(2027, 2, 1, tzinfo=UTC)
    with capture_logs() as logs:
        for _ in range(3):
            known = await current_deadlines(resources)
            known.due("accept", "02", "routine", None, start, None)
            clock.advance(timedelta(seconds=6))
    assert [line["event"] for line in logs] == ["calendar_unpublished"]


async def test_unit_with_its_own_hours_in_the_database(session: AsyncSession) -> None:
    unit = new_id()
    await session.execute(
        insert(Unit).values(
            id=unit, code="U1", name="派出所", level="township", kind="department", area_code="1"
        )
    )
    session.add(OfficeHours(unit_id=unit, sessions=[["00:00", "24:00"]]))
    await session.flush()
    known = await load(session, ZONE, lambda _: None)
    due = known.due("accept", None, "routine", None, at("03-11 20:00"), unit)
    assert (due.minutes, due.due_at) == (1440, at("03-12 20:00"))
