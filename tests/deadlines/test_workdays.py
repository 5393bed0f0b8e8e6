"""Years whose calendar nobody published."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import chinese_calendar
import pytest
from structlog.testing import capture_logs

from app.deadlines.defaults import DAY_MINUTES, DEFAULT_SESSIONS
from app.deadlines.seed import published_days
from app.deadlines.workdays import Workdays
from app.deadlines.working_time import WorkingTime

ZONE = ZoneInfo("Asia/Shanghai")


def published() -> Workdays:
    return Workdays((row["day"], row["kind"]) for row in published_days())


def test_2027_is_not_published_by_the_source() -> None:
    with pytest.raises(NotImplementedError):
        chinese_calendar.is_workday(date(2027, 1, 4))
    assert not published().published(2027)


def test_unpublished_year_follows_the_week_and_warns_once() -> None:
    office = WorkingTime(DEFAULT_SESSIONS, published(), ZONE)
    with capture_logs() as logs:
        for _ in range(3):
            # 31 December 2026 is a Thursday; nobody has said that 1 January 2027 is a holiday
            due = office.add(datetime(2026, 12, 31, 18, 0, tzinfo=ZONE), 2 * DAY_MINUTES)
            assert due == datetime(2027, 1, 4, 18, 0, tzinfo=ZONE)
    assert logs == [
        {
            "event": "calendar_unpublished",
            "year": 2027,
            "fallback": "monday_to_friday",
            "log_level": "warning",
        }
    ]


def test_published_year_is_silent() -> None:
    with capture_logs() as logs:
        assert not published()(date(2026, 10, 1))
    assert logs == []


def test_one_listed_day_publishes_its_year() -> None:
    heard: list[int] = []
    workdays = Workdays([(date(2027, 1, 1), "holiday")], heard.append)
    assert not workdays(date(2027, 1, 1))
    assert workdays(date(2027, 1, 4))
    assert heard == []
    assert workdays(date(2028, 1, 3))
    assert heard == [2028]
