"""Calendar days from a CSV (`day,kind,name`): a report per row, all or nothing."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import audit
from app.core.errors import Language
from app.deadlines.errors import CalendarImportRefused, CalendarTooLong, CalendarUnreadable
from app.deadlines.models import CalendarDay

COLUMNS = ["day", "kind", "name"]
MAX_ROWS = 5000
SOURCE = "import"
YEARS = range(2000, 2101)
_NAME_LENGTH = 200
_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Outcome = Literal["added", "changed", "unchanged", "refused"]
Mistake = Literal["day-invalid", "kind-invalid", "name-invalid", "columns-wrong", "day-repeated"]
MESSAGES: dict[Language, dict[Mistake, str]] = {
    "zh-CN": {
        "day-invalid": "日期应为 2000 至 2100 年间的 YYYY-MM-DD",
        "kind-invalid": "类型应为 workday（上班）或 holiday（放假）",
        "name-invalid": "名称应为 1 至 200 个字符",
        "columns-wrong": "该行的列数与首行不符",
        "day-repeated": "同一日期在文件中出现多次",
    },
    "en": {
        "day-invalid": "The day must be YYYY-MM-DD between 2000 and 2100",
        "kind-invalid": "The kind must be workday or holiday",
        "name-invalid": "The name must have 1 to 200 characters",
        "columns-wrong": "The row has other columns than the first line",
        "day-repeated": "The same day stands in the file more than once",
    },
}


@dataclass(frozen=True, slots=True)
class DayRow:
    """One row of the file: `day` and `kind` are only to be used where `mistake` is None."""

    line: int
    text: str
    day: date
    kind: str
    name: str
    mistake: Mistake | None = None


@dataclass(frozen=True, slots=True)
class RowReport:
    line: int
    day: str
    outcome: Outcome
    code: Mistake | None
    message: str | None


@dataclass(frozen=True, slots=True)
class ImportReport:
    rows: tuple[RowReport, ...]
    applied: bool

    def count(self, outcome: Outcome) -> int:
        return sum(row.outcome == outcome for row in self.rows)


async def import_calendar(
    session: AsyncSession,
    content: bytes | str,
    *,
    actor_id: UUID | None,
    at: datetime,
    dry_run: bool = False,
    language: Language = "zh-CN",
) -> ImportReport:
    """Write the file's days over those that stand, or nothing at all.

    A dry run reports mistakes; a real one raises CalendarImportRefused with the same rows. Raises
    CalendarUnreadable, CalendarTooLong.
    """
    rows = read_days(content)
    report = ImportReport(_report(rows, await _standing(session, rows), language), not dry_run)
    if dry_run:
        return report
    refused = [row for row in report.rows if row.outcome == "refused"]
    if refused:
        raise CalendarImportRefused(refused=len(refused), rows=refused)
    await _write(session, rows)
    counts = {name: report.count(name) for name in ("added", "changed", "unchanged")}
    await audit.note(
        session,
        at=at,
        actor_id=actor_id,
        action="calendar.imported",
        target=("calendar", ",".join(sorted({str(row.day.year) for row in rows}))),
        **counts,
    )
    return report


def read_days(content: bytes | str) -> list[DayRow]:
    """The file's rows, mistakes marked. Raises CalendarUnreadable, CalendarTooLong."""
    text = content if isinstance(content, str) else _decoded(content)
    try:
        rows = list(_rows(text.removeprefix("\ufeff")))
    except csv.Error as broken:
        raise CalendarUnreadable from broken
    if not rows:
        raise CalendarUnreadable
    return rows


def _decoded(content: bytes) -> str:
    """UTF-8 (with or without BOM), else GB18030, which office software in China writes."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise CalendarUnreadable


def _rows(text: str) -> Iterator[DayRow]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    if [column.strip().lower() for column in next(reader, [])] != COLUMNS:
        raise CalendarUnreadable
    seen: set[date] = set()
    for number, cells in enumerate(filter(None, reader), start=1):
        if number > MAX_ROWS:
            raise CalendarTooLong(limit=MAX_ROWS)
        yield _row(reader.line_num, [cell.strip() for cell in cells], seen)


def _row(line: int, cells: Sequence[str], seen: set[date]) -> DayRow:
    day, kind, name = (*cells, "", "", "")[:3]
    read = _day(day)
    mistake = _mistake(cells, read, kind, name)
    if mistake is None and read in seen:
        mistake = "day-repeated"
    if read is not None:
        seen.add(read)
    return DayRow(line, day[:_NAME_LENGTH], read or date.min, kind, name, mistake)


def _mistake(cells: Sequence[str], day: date | None, kind: str, name: str) -> Mistake | None:
    if len(cells) != len(COLUMNS):
        return "columns-wrong"
    if day is None:
        return "day-invalid"
    if kind not in {"workday", "holiday"}:
        return "kind-invalid"
    if not 1 <= len(name) <= _NAME_LENGTH or "\0" in name:
        return "name-invalid"
    return None


def _day(text: str) -> date | None:
    if not _ISO_DAY.fullmatch(text):
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.year in YEARS else None


async def _standing(session: AsyncSession, rows: Sequence[DayRow]) -> dict[date, tuple[str, str]]:
    """What is said of the file's days now: (kind, name)."""
    found = await session.execute(
        select(CalendarDay.day, CalendarDay.kind, CalendarDay.name).where(
            CalendarDay.day.in_([row.day for row in rows])
        )
    )
    return {row.day: (row.kind, row.name) for row in found}


def _report(
    rows: Sequence[DayRow], standing: Mapping[date, tuple[str, str]], language: Language
) -> tuple[RowReport, ...]:
    texts = MESSAGES[language]
    return tuple(
        RowReport(
            row.line,
            row.text,
            _outcome(row, standing.get(row.day)),
            row.mistake,
            texts[row.mistake] if row.mistake else None,
        )
        for row in rows
    )


def _outcome(row: DayRow, standing: tuple[str, str] | None) -> Outcome:
    if row.mistake:
        return "refused"
    if standing is None:
        return "added"
    return "unchanged" if standing == (row.kind, row.name) else "changed"


async def _write(session: AsyncSession, rows: Sequence[DayRow]) -> None:
    upsert = insert(CalendarDay)
    new = upsert.excluded
    await session.execute(
        upsert.on_conflict_do_update(
            index_elements=[CalendarDay.day],
            set_={"kind": new.kind, "name": new.name, "source": new.source},
            where=(CalendarDay.kind != new.kind) | (CalendarDay.name != new.name),
        ),
        # in one order, so that two imports never wait for each other in a circle
        [
            {"day": row.day, "kind": row.kind, "name": row.name, "source": SOURCE}
            for row in sorted(rows, key=lambda row: row.day)
        ],
    )
