"""Working time, pure: golden cases of 2026 against the published calendar, and its laws."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import chinese_calendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.deadlines.defaults import DAY_MINUTES, DEFAULT_SESSIONS
from app.deadlines.seed import published_days
from app.deadlines.workdays import Workdays
from app.deadlines.working_time import SessionsInvalid, WorkingTime

ZONE = ZoneInfo("Asia/Shanghai")
WORKDAYS = Workdays(((row["day"], row["kind"]) for row in published_days()), lambda _: None)
OFFICE = WorkingTime(DEFAULT_SESSIONS, WORKDAYS, ZONE)
ROUND_THE_CLOCK = WorkingTime([["00:00", "24:00"]], lambda _: True, ZONE)
DAY = DAY_MINUTES

instants = st.integers(0, 480 * 86_400 * 1_000_000).map(
    lambda offset: datetime(2025, 11, 1, tzinfo=ZONE) + timedelta(microseconds=offset)
)
amounts = st.integers(0, 40 * DAY)


def at(text: str) -> datetime:
    """Local time of 2026: `09-30 17:00`."""
    return datetime.strptime(f"2026-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=ZONE)


@pytest.mark.parametrize(
    "sessions",
    [
        [],
        [["12:00", "08:30"]],
        [["08:30", "08:30"]],
        [["08:30", "12:00"], ["12:00", "18:00"]],
        [["14:30", "18:00"], ["08:30", "12:00"]],
        [["8:30", "12:00"]],
        [["08:30", "24:01"]],
        [["08:60", "12:00"]],
        [["-1:30", "12:00"]],
        [["08:30"]],
        [["08:30", "12:00", "13:00"]],
        [["０8:30", "12:00"]],
    ],
)
def test_sessions_of_another_shape_are_refused(sessions: list[list[str]]) -> None:
    with pytest.raises(SessionsInvalid):
        WorkingTime(sessions, WORKDAYS, ZONE)


def test_time_is_never_added_backwards() -> None:
    with pytest.raises(ValueError, match="forwards"):
        OFFICE.add(at("03-11 09:00"), -1)


@pytest.mark.parametrize(
    ("day", "works"),
    [
        ("2026-02-14", True),
        ("2026-02-16", False),
        ("2026-02-23", False),
        ("2026-02-24", True),
        ("2026-02-28", True),
        ("2026-09-20", True),
        ("2026-09-25", False),
        ("2026-09-30", True),
        ("2026-10-01", False),
        ("2026-10-07", False),
        ("2026-10-08", True),
        ("2026-10-10", True),
        ("2026-10-11", False),
    ],
)
def test_golden_days_are_those_of_the_published_calendar(day: str, *, works: bool) -> None:
    assert chinese_calendar.is_workday(date.fromisoformat(day)) is works
    assert WORKDAYS(date.fromisoformat(day)) is works


def test_every_published_day_agrees_with_its_source() -> None:
    day = date(2004, 1, 1)
    while day.year < 2027:
        assert WORKDAYS(day) is chinese_calendar.is_workday(day), day
        day += timedelta(days=1)


@pytest.mark.parametrize(
    ("start", "minutes", "due"),
    [
        # within a session, over noon, over night
        ("03-11 09:00", 60, "03-11 10:00"),
        ("03-11 11:30", 60, "03-11 15:00"),
        ("03-11 17:30", 60, "03-12 09:00"),
        # the last minute before noon, and ending at a session's end sharp
        ("03-11 11:59", 1, "03-11 12:00"),
        ("03-11 11:59", 2, "03-11 14:31"),
        ("03-11 08:30", 210, "03-11 12:00"),
        ("03-11 08:30", DAY, "03-11 18:00"),
        ("03-11 09:00", DAY, "03-12 09:00"),
        # outside office hours: early, noon, evening, weekend
        ("03-11 06:00", 1, "03-11 08:31"),
        ("03-11 12:00", 1, "03-11 14:31"),
        ("03-11 13:00", 30, "03-11 15:00"),
        ("03-11 18:00", 1, "03-12 08:31"),
        ("03-11 23:59", DAY, "03-12 18:00"),
        ("03-13 18:00", 1, "03-16 08:31"),
        ("03-14 10:00", DAY, "03-16 18:00"),
        # an empty span gives the next open instant
        ("03-11 10:00", 0, "03-11 10:00"),
        ("03-11 12:00", 0, "03-11 12:00"),
        ("03-11 13:00", 0, "03-11 14:30"),
        ("03-13 19:00", 0, "03-16 08:30"),
        # 春节 15–23 February; 14 and 28 February are working Saturdays
        ("02-13 17:00", DAY, "02-14 17:00"),
        ("02-14 17:00", DAY, "02-24 17:00"),
        ("02-14 18:00", 5 * DAY, "02-28 18:00"),
        ("02-17 10:00", DAY, "02-24 18:00"),
        ("02-27 18:00", DAY, "02-28 18:00"),
        ("02-28 09:00", DAY, "03-02 09:00"),
        # 中秋 25–27 September; 20 September is a working Sunday
        ("09-19 12:00", DAY, "09-20 18:00"),
        ("09-24 17:30", 60, "09-28 09:00"),
        # 国庆 1–7 October; 10 October is a working Saturday
        ("09-30 17:00", DAY, "10-08 17:00"),
        ("09-30 18:00", 5 * DAY, "10-13 18:00"),
        ("10-03 03:00", 5 * DAY, "10-13 18:00"),
        ("10-09 17:59", 2, "10-10 08:31"),
        ("09-28 08:30", 15 * DAY, "10-22 18:00"),
    ],
)
def test_golden_cases_of_2026(start: str, minutes: int, due: str) -> None:
    assert OFFICE.add(at(start), minutes) == at(due)


def test_answers_are_utc() -> None:
    due = OFFICE.add(at("03-11 09:00"), 60)
    assert (due.tzinfo, due.hour) == (UTC, 2)


def test_start_may_be_given_in_any_zone() -> None:
    assert OFFICE.add(datetime(2026, 3, 11, 3, 59, tzinfo=UTC), 1) == at("03-11 12:00")


def test_seconds_are_kept() -> None:
    start = at("03-11 11:59") + timedelta(seconds=30)
    assert OFFICE.add(start, 1) == at("03-11 14:30") + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("start", "end", "minutes"),
    [
        ("03-11 09:00", "03-11 09:00", 0),
        ("03-11 12:00", "03-11 14:30", 0),
        ("03-11 00:00", "03-11 23:59", DAY),
        ("03-13 18:00", "03-16 08:30", 0),
        ("09-30 17:00", "10-08 09:00", 90),
        ("10-08 09:00", "09-30 17:00", -90),
        ("01-01 00:00", "12-31 23:59", 248 * DAY),
    ],
)
def test_between(start: str, end: str, minutes: int) -> None:
    assert OFFICE.between(at(start), at(end)) == minutes


def test_long_span_asks_each_year_once() -> None:
    asked: list[date] = []

    def weekday(day: date) -> bool:
        asked.append(day)
        return day.weekday() < 5

    office = WorkingTime(DEFAULT_SESSIONS, weekday, ZONE)
    start = datetime(2000, 1, 3, 8, 30, tzinfo=ZONE)
    end = office.add(start, 20_000 * DAY)
    assert office.between(start, end) == 20_000 * DAY
    assert len(asked) == len(set(asked))


@given(instants, amounts)
def test_what_was_added_lies_between(start: datetime, minutes: int) -> None:
    assert OFFICE.between(start, OFFICE.add(start, minutes)) == minutes
    assert OFFICE.elapsed(start, OFFICE.add(start, minutes)) == timedelta(minutes=minutes)


@given(instants, amounts)
def test_due_never_lies_outside_a_session(start: datetime, minutes: int) -> None:
    due = OFFICE.add(start, minutes)
    local = due.astimezone(ZONE)
    clock = local.time().isoformat()
    assert WORKDAYS(local.date())
    assert any(f"{begin}:00" <= clock <= f"{end}:00" for begin, end in DEFAULT_SESSIONS)
    assert due >= start


@given(instants, instants, amounts, amounts)
def test_later_starts_and_longer_spans_never_end_earlier(
    one: datetime, other: datetime, short: int, long: int
) -> None:
    first, last = sorted((one, other))
    less, more = sorted((short, long))
    assert OFFICE.add(first, less) <= OFFICE.add(first, more)
    assert OFFICE.add(first, less) <= OFFICE.add(last, less)


@given(instants, amounts, st.integers(1, 10 * DAY))
def test_two_spans_are_as_long_as_their_sum(start: datetime, first: int, second: int) -> None:
    assert OFFICE.add(OFFICE.add(start, first), second) == OFFICE.add(start, first + second)


@given(instants, instants, instants)
def test_elapsed_is_additive_and_signed(a: datetime, b: datetime, c: datetime) -> None:
    assert OFFICE.elapsed(a, b) + OFFICE.elapsed(b, c) == OFFICE.elapsed(a, c)
    assert OFFICE.elapsed(a, b) == -OFFICE.elapsed(b, a)


@given(instants, instants)
def test_between_agrees_with_counting_minutes(one: datetime, other: datetime) -> None:
    """Against the slowest possible oracle, over at most three days."""
    start = one.replace(second=0, microsecond=0)
    end = min(max(start, other.replace(second=0, microsecond=0)), start + timedelta(days=3))
    counted, minute = 0, start
    while minute < end:
        clock = minute.time().isoformat("minutes")
        counted += WORKDAYS(minute.date()) and any(b <= clock < e for b, e in DEFAULT_SESSIONS)
        minute += timedelta(minutes=1)
    assert OFFICE.between(start, end) == counted


@given(instants, st.integers(1, 100_000))
def test_sessions_round_the_clock_are_exact(start: datetime, minutes: int) -> None:
    assert ROUND_THE_CLOCK.add(start, minutes) == start + timedelta(minutes=minutes)
