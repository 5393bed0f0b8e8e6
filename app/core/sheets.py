"""Tables as offices keep them: CSV in what their programs save, or a workbook's first sheet. Pure.

The first row names the columns, in English or Chinese, in any order. Rows that are empty are
skipped; a row's line is the one that the spreadsheet shows beside it.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from zipfile import ZipFile

from openpyxl import load_workbook  # type: ignore[import-untyped]  # it ships no types
from pydantic import BeforeValidator

from app.core.errors import PayloadTooLarge
from app.core.sheet_errors import SheetTooLong, SheetUnreadable

SHEETS = ("text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
MOST_BYTES = 4 * 1024 * 1024
MOST_ROWS = 2000
_MOST_UNPACKED = 64 * 1024 * 1024
_MOST_COLUMNS = 64
_MOST_LINES = 20 * MOST_ROWS
"""Empty ones too: a workbook may have its last cell in row 1,048,576."""
_ZIP = b"PK\x03\x04"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

Line = tuple[int, Sequence[str]]
Ticked = Annotated[bool, BeforeValidator(lambda cell: {"是": True, "否": False}.get(cell, cell))]
"""A cell that says yes or no."""


@dataclass(frozen=True, slots=True)
class Columns:
    """`named`: each column and its Chinese heading."""

    named: Mapping[str, str]
    required: frozenset[str]

    def header(self) -> str:
        return ",".join(self.named)


@dataclass(frozen=True, slots=True)
class SheetRow:
    line: int
    cells: Mapping[str, str]
    """What is said, by column: empty cells are left out."""
    spare: bool = False
    """It has cells beyond the last column."""


def read_sheet(content: bytes, columns: Columns, most: int = MOST_ROWS) -> list[SheetRow]:
    """Raises SheetUnreadable, SheetTooLong, PayloadTooLarge."""
    lines = _workbook(content) if content.startswith(_ZIP) else _csv(content)
    try:
        rows = list(_rows(lines, columns, most))
    except csv.Error as broken:
        raise SheetUnreadable(header=columns.header()) from broken
    if not rows:
        raise SheetUnreadable(header=columns.header())
    return rows


def _rows(lines: Iterable[Line], columns: Columns, most: int) -> Iterator[SheetRow]:
    filled = ((number, cells) for number, cells in _counted(lines, most) if any(cells))
    _, heading = next(filled, (0, ()))
    names = _names(heading, columns)
    for count, (number, cells) in enumerate(filled):
        if count == most:
            raise SheetTooLong(limit=most)
        said = {name: cell for name, cell in zip(names, cells, strict=False) if cell}
        yield SheetRow(number, said, spare=any(cells[len(names) :]))


def _counted(lines: Iterable[Line], most: int) -> Iterator[Line]:
    for number, cells in lines:
        if number > _MOST_LINES:
            raise SheetTooLong(limit=most)
        yield number, [cell.strip() for cell in cells]


def _names(heading: Sequence[str], columns: Columns) -> list[str]:
    """Every column known, none twice, those that are required there. Raises SheetUnreadable."""
    english = {chinese: name for name, chinese in columns.named.items()}
    names = [english.get(cell, cell.lower()) for cell in heading]
    while names and not names[-1]:
        names.pop()
    known = set(names) <= set(columns.named) and len(set(names)) == len(names)
    if not known or not columns.required <= set(names):
        raise SheetUnreadable(header=columns.header())
    return names


def _csv(content: bytes) -> Iterator[Line]:
    reader = csv.reader(io.StringIO(_decoded(content), newline=""), strict=True)
    for cells in reader:
        yield reader.line_num, cells


def _decoded(content: bytes) -> str:
    """UTF-8 with or without a mark, UTF-16 with one, else GB18030."""
    known = ("utf-16",) if content.startswith(_UTF_16) else ("utf-8-sig", "gb18030")
    for encoding in known:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise SheetUnreadable(header="UTF-8, GB18030")


def _workbook(content: bytes) -> Iterator[Line]:
    """Values only, row by row. Raises SheetUnreadable, PayloadTooLarge."""
    try:
        _demand_size(content)
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of its size may be a lie
        for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
            yield number, [_text(cell) for cell in cells[:_MOST_COLUMNS]]
    except (PayloadTooLarge, GeneratorExit):
        raise
    except Exception as broken:  # the reader raises whatever a broken file makes it meet
        raise SheetUnreadable(header="CSV, XLSX") from broken


def _demand_size(content: bytes) -> None:
    """Of what unpacks from it: a small file may hold a large one."""
    with ZipFile(io.BytesIO(content)) as packed:
        if sum(part.file_size for part in packed.infolist()) > _MOST_UNPACKED:
            raise PayloadTooLarge(limit=_MOST_UNPACKED)


def _text(cell: object) -> str:
    """As somebody would have typed it: codes that became numbers, days that became dates."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    return str(cell)
