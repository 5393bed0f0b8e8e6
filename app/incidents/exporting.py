"""Exports: the lines of a list as CSV or as a workbook; they hold what the list shows, no more.

Of sealed matters less: a file is read by whoever has it, and for longer than a matter stays open.
"""

import asyncio
import csv
import io
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

import xlsxwriter

from app.areas.locate import AreaMap
from app.categories.queries import CategoryTree
from app.core.resources import Resources
from app.incidents.attachments import Looking
from app.incidents.list_schemas import Filters, ListQuery
from app.incidents.narrowing import Asking
from app.incidents.queries import page
from app.incidents.schemas import IncidentView
from app.incidents.sorting import position
from app.incidents.views import show

Format = Literal["csv", "xlsx"]
Row = Sequence[str]
Rows = AsyncIterator[Row]
Progress = Callable[[int], Awaitable[None]]
"""Told how many lines there are so far."""

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv; charset=utf-8"
HEADINGS: Row = (
    "编号", "状态", "事件类别", "紧急程度", "内容", "地址", "乡镇/街道", "村/社区", "网格",
    "上报人", "上报时间", "当前单位", "办理时限", "督办", "处理结果",
)  # fmt: skip
_STATES = {
    "submitted": "待受理", "accepted": "已受理", "dispatched": "待签收", "in_progress": "处置中",
    "suspended": "挂账", "handled": "待核查", "closed": "办结", "archived": "归档",
    "returned": "退回补正", "rejected": "不予受理", "voided": "作废", "merged": "并件",
    "transferred": "移送",
}  # fmt: skip
_URGENCIES = {"routine": "一般", "urgent": "紧急", "critical": "特急", "complex": "疑难"}
_CARDS = {"normal": "", "yellow": "黄牌", "red": "红牌"}
_SEALED = "（密件）"
_BATCH = 200
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would carry out (CSV injection)."""


async def rows(resources: Resources, asking: Asking, wanted: Filters, most: int) -> Rows:
    """Line by line, newest first; batches in short sessions, so that no connection is held."""
    query = ListQuery(**wanted.model_dump(exclude_unset=True), limit=_BATCH)
    keys, seconds = resources.keys, resources.settings.intake.link_s
    looking = Looking(asking.caller, asking.now, keys, seconds, wanted.datum)
    after = None
    left = most
    while left > 0:
        async with resources.sessions.read() as session:
            found = (await page(session, asking, query, after))[: min(_BATCH, left)]
            views = await show(session, [row[0] for row in found], looking)
        for view in views:
            yield _row(view, asking.areas, asking.categories, resources.settings.zone)
        left -= len(found)
        if len(found) < _BATCH:
            return
        after = position(found[-1][1:])


async def csv_lines(lines: Rows) -> AsyncIterator[bytes]:
    """UTF-8 after a BOM, without which Excel takes it for another encoding."""
    yield b"\xef\xbb\xbf" + _line(HEADINGS)
    async for line in lines:
        yield _line([_harmless(cell) for cell in line])


async def _untold(_: int) -> None:
    """Nobody waits for how far it is."""


async def written(lines: Rows, form: Format, progress: Progress = _untold) -> Path:
    """A temporary file of its own, which the caller removes; memory stays constant."""
    with tempfile.NamedTemporaryFile(suffix=f".{form}", delete=False) as made:
        path = Path(made.name)
    sheet = _SHEETS[form](path)
    try:
        await _fill(sheet, lines, progress)
    except BaseException:
        sheet.close()
        await asyncio.to_thread(path.unlink)
        raise
    # a workbook is packed when it is closed
    await asyncio.to_thread(sheet.close)
    return path


class _Sheet(Protocol):
    def add(self, row: Row) -> None: ...
    def close(self) -> None: ...


async def _fill(sheet: _Sheet, lines: Rows, progress: Progress) -> None:
    sheet.add(HEADINGS)
    count = 0
    async for line in lines:
        sheet.add(line)
        count += 1
        if count % _BATCH == 0:
            await progress(count)
    await progress(count)


class _Csv:
    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._file.write(b"\xef\xbb\xbf")

    def add(self, row: Row) -> None:
        self._file.write(_line([_harmless(cell) for cell in row]))

    def close(self) -> None:
        self._file.close()


class _Workbook:
    """Every cell is a text: nothing in it is carried out."""

    def __init__(self, path: Path) -> None:
        self._book = xlsxwriter.Workbook(str(path), {"constant_memory": True})
        self._sheet = self._book.add_worksheet("事件")
        self._next = 0

    def add(self, row: Row) -> None:
        for column, cell in enumerate(row):
            self._sheet.write_string(self._next, column, cell)
        self._next += 1

    def close(self) -> None:
        self._book.close()


_SHEETS: dict[Format, Callable[[Path], _Sheet]] = {"csv": _Csv, "xlsx": _Workbook}


def _line(cells: Row) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _harmless(cell: str) -> str:
    return "'" + cell if cell.startswith(_FORMULA) else cell


def _row(view: IncidentView, areas: AreaMap, categories: CategoryTree, zone: ZoneInfo) -> Row:
    line = areas.lineage(view.area_code)
    category = categories.get(view.category)
    step = view.step
    said = _SEALED if view.sealed else view.text
    return [
        view.number,
        _STATES.get(view.state, view.state),
        category.name if category else view.category,
        _URGENCIES.get(view.urgency, view.urgency),
        said,
        "" if view.sealed else view.place.address or "",
        *(areas.name(code) if code else "" for code in (line.township, line.village, line.grid)),
        view.reporter.name if view.reporter and not view.sealed else "",
        _local(view.received_at, zone),
        (step.unit if step else view.owner).name,
        _local(step.due_at, zone) if step else "",
        _CARDS.get(step.supervision, step.supervision) if step else "",
        "" if view.sealed else view.outcome or "",
    ]


def _local(at: datetime | None, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M") if at else ""
