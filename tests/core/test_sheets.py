"""Tables of offices: what can't be read is refused as such, and every usual form is read alike."""

import io
import zipfile
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook  # type: ignore[import-untyped]  # it ships no types

from app.core.errors import PayloadTooLarge
from app.core.sheet_errors import SheetTooLong, SheetUnreadable
from app.core.sheets import MOST_ROWS, Columns, SheetRow, read_sheet

COLUMNS = Columns({"code": "代码", "name": "名称", "minutes": "时限"}, frozenset({"code", "name"}))


def workbook(*rows: Sequence[object]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def _swollen() -> bytes:
    """A hundred kilobytes that unpack to a hundred megabytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", bytes(100 * 1024 * 1024))
    return made.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"code,name\n",
        b"code\n1\n",
        b"code,name,colour\n1,a,red\n",
        b"code,name,name\n1,a,b\n",
        b'code,name\n1,"a\n',
        b"\xff\xff\xff",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 the workbook of another age",
        b"PK\x03\x04 no workbook",
        workbook(["code", "name"], ["1", "a"])[:-200],
    ],
)
def test_what_is_no_table_is_refused(content: bytes) -> None:
    with pytest.raises(SheetUnreadable):
        read_sheet(content, COLUMNS)


def test_a_table_may_not_be_too_long_nor_unpack_to_too_much() -> None:
    head, row = "code,name\n", "1,a\n"
    assert len(read_sheet((head + row * MOST_ROWS).encode(), COLUMNS)) == MOST_ROWS
    with pytest.raises(SheetTooLong):
        read_sheet((head + row * (MOST_ROWS + 1)).encode(), COLUMNS)
    far = Workbook()
    far.active["A1"], far.active["B1"], far.active["A1048576"] = "code", "name", "1"
    made = io.BytesIO()
    far.save(made)
    with pytest.raises(SheetTooLong):
        read_sheet(made.getvalue(), COLUMNS)
    with pytest.raises(PayloadTooLarge):
        read_sheet(_swollen(), COLUMNS)


TABLE = "名称,code,时限\n\n 永红村 ,620802105202,15\n，,“二”,\n"
ROWS = [
    SheetRow(3, {"name": "永红村", "code": "620802105202", "minutes": "15"}),
    SheetRow(4, {"name": "，", "code": "“二”"}),
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
def test_every_encoding_of_an_office_is_read_alike(encoding: str) -> None:
    assert read_sheet(TABLE.encode(encoding), COLUMNS) == ROWS


def test_a_workbook_is_read_as_its_csv_would_be() -> None:
    made = workbook(
        ["名称", "code", "时限"], [], [" 永红村 ", 620802105202, 15.0], ["，", "“二”", None]
    )
    assert read_sheet(made, COLUMNS) == ROWS


def test_cells_beyond_the_columns_are_marked() -> None:
    (row, other) = read_sheet(b"code,name,,\n1,a,,\n2,b,,c\n", COLUMNS)
    assert (row.spare, other.spare) == (False, True)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: b"PK\x03\x04" + rest))
def test_whatever_is_sent_is_read_or_refused(content: bytes) -> None:
    with suppress(SheetUnreadable, SheetTooLong, PayloadTooLarge):
        assert read_sheet(content, COLUMNS)
