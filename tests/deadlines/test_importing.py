"""Calendars from files: a report per row, all or nothing."""

from datetime import date
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.audit import AuditEntry
from app.core.clock import FakeClock
from app.deadlines.errors import CalendarImportRefused, CalendarTooLong, CalendarUnreadable
from app.deadlines.importing import MAX_ROWS, ImportReport, import_calendar, read_days
from app.deadlines.models import CalendarDay

HEAD = "day,kind,name\n"
GOOD = HEAD + "2027-01-01,holiday,元旦\n2027-01-02,workday,元旦调休\n"


@pytest.fixture
def written(session: AsyncSession, clock: FakeClock) -> Any:
    async def write(content: bytes | str, **options: Any) -> ImportReport:
        return await import_calendar(session, content, actor_id=None, at=clock.now(), **options)

    return write


@pytest.mark.parametrize(
    "content",
    [
        "",
        HEAD,
        "2027-01-01,holiday,元旦\n",
        "kind,day,name\nholiday,2027-01-01,元旦\n",
        HEAD + '2027-01-01,holiday,"元旦\n',
        b"\xff\xfe\xff\x00",
    ],
)
def test_file_of_another_shape_is_refused(content: bytes | str) -> None:
    with pytest.raises(CalendarUnreadable):
        read_days(content)


def test_file_with_too_many_rows_is_refused() -> None:
    with pytest.raises(CalendarTooLong):
        read_days(HEAD + "x,y,z\n" * (MAX_ROWS + 1))


@pytest.mark.parametrize(
    ("row", "mistake"),
    [
        ("2027-02-30,holiday,春节", "day-invalid"),
        ("20270101,holiday,元旦", "day-invalid"),
        ("1999-01-01,holiday,元旦", "day-invalid"),
        ("2101-01-01,holiday,元旦", "day-invalid"),
        ("1798761600,holiday,元旦", "day-invalid"),
        ("２０２７-01-01,holiday,元旦", "day-invalid"),
        (",holiday,元旦", "day-invalid"),
        ("2027-01-01,Holiday,元旦", "kind-invalid"),
        ("2027-01-01,,元旦", "kind-invalid"),
        ("2027-01-01,holiday,", "name-invalid"),
        ("2027-01-01,holiday," + "长" * 201, "name-invalid"),
        ("2027-01-01,holiday", "columns-wrong"),
        ("2027-01-01,holiday,元旦,更多", "columns-wrong"),
        ("2027-05-01,workday,又一次", "day-repeated"),
    ],
)
async def test_one_mistake_refuses_the_whole_file(
    written: Any,
    session: AsyncSession,
    row: str,
    mistake: str,
) -> None:
    content = f"{HEAD}2027-05-01,holiday,劳动节\n{row}\n"
    with pytest.raises(CalendarImportRefused) as refused:
        await written(content)
    (bad,) = refused.value.members["rows"]
    assert (bad.line, bad.code, bad.outcome) == (3, mistake, "refused")
    assert (await session.scalars(select(CalendarDay))).all() == []
    assert (await session.scalars(select(AuditEntry))).all() == []


async def test_dry_run_reports_and_writes_nothing(
    written: Any,
    session: AsyncSession,
) -> None:
    report = await written(GOOD + "x,holiday,错\n", dry_run=True, language="en")
    assert [row.outcome for row in report.rows] == ["added", "added", "refused"]
    assert report.rows[2].message == "The day must be YYYY-MM-DD between 2000 and 2100"
    assert not report.applied
    assert (await session.scalars(select(CalendarDay))).all() == []


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.encode(),
        GOOD.encode("utf-8-sig"),
        "\ufeff" + GOOD,
        GOOD.encode("gb18030"),
        GOOD.replace("\n", "\r\n").encode("gb18030"),
        "Day, Kind, Name\n\n 2027-01-01 , holiday , 元旦 \n2027-01-02,workday,元旦调休\n\n",
    ],
)
async def test_days_are_written(
    written: Any,
    session: AsyncSession,
    content: bytes | str,
) -> None:
    report = await written(content)
    assert report.applied
    days = await session.scalars(select(CalendarDay).order_by(CalendarDay.day))
    assert [(day.day, day.kind, day.name, day.source) for day in days] == [
        (date(2027, 1, 1), "holiday", "元旦", "import"),
        (date(2027, 1, 2), "workday", "元旦调休", "import"),
    ]
    line = (await session.scalars(select(AuditEntry))).one()
    assert (line.action, line.object_id) == ("calendar.imported", "2027")
    assert line.facts == {"added": 2, "changed": 0, "unchanged": 0}


async def test_import_again_says_what_changed(written: Any) -> None:
    await written(GOOD)
    report = await written(GOOD.replace("02,workday", "02,holiday") + "2027-01-03,holiday,元旦\n")
    assert [row.outcome for row in report.rows] == ["unchanged", "changed", "added"]


async def test_name_that_looks_like_a_formula_is_only_text(
    written: Any,
    session: AsyncSession,
) -> None:
    await written(HEAD + '2027-01-01,holiday,"=1+1, ""x"""\n')
    assert (await session.scalars(select(CalendarDay.name))).one() == '=1+1, "x"'
