"""Cursors: opaque, bound to their question, refused when altered."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.crypto import Keys, b64
from app.core.errors import CursorInvalid
from app.core.paging import Cursors, Page

KEYS = Keys("a-root-secret-for-the-tests-of-cursors")
HERE = Cursors(KEYS, "incidents:one:{}")

positions = st.lists(
    st.text(max_size=20) | st.integers(-(2**53), 2**53) | st.none() | st.booleans(), max_size=4
)


@given(positions, st.data())
def test_an_altered_cursor_is_refused(position: list[Any], data: st.DataObject) -> None:
    cursor = HERE.make(position)
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from("ABCabc019-_."))
    altered = cursor[:place] + other + cursor[place + 1 :]
    if altered == cursor:
        return
    with pytest.raises(CursorInvalid):
        HERE.read(altered)


@pytest.mark.parametrize(
    "cursor", ["x", ".", "W10.", "..", "W10.AAAA", "事件.码", "W10", "=.=", "\ud800"]
)
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(CursorInvalid):
        HERE.read(cursor)


def test_a_cursor_of_another_question_person_or_server_is_refused() -> None:
    cursor = HERE.make(["2026-03-11", 7])
    for other in (
        Cursors(KEYS, "incidents:two:{}"),
        Cursors(KEYS, 'incidents:one:{"q":"x"}'),
        Cursors(Keys("another-root-secret-of-another-server"), "incidents:one:{}"),
    ):
        with pytest.raises(CursorInvalid):
            other.read(cursor)


def test_a_signature_of_another_purpose_is_none() -> None:
    body = orjson.dumps(["x"])
    with pytest.raises(CursorInvalid):
        HERE.read(b64(body) + "." + KEYS.sign("file-link", b64(body).encode()))


@given(positions)
def test_a_cursor_brings_back_its_position(position: list[Any]) -> None:
    assert HERE.read(HERE.make(position)) == position


@pytest.mark.parametrize("nothing", [None, ""])
def test_without_a_cursor_it_begins_at_the_start(nothing: str | None) -> None:
    assert HERE.read(nothing) is None


@given(st.lists(st.integers(-99, 99), max_size=30), st.integers(1, 10))
def test_h5_pages_put_together_are_the_whole(rows: list[int], limit: int) -> None:
    rows = sorted(set(rows))
    seen: list[int] = []
    cursor: str | None = None
    while True:
        after = HERE.read(cursor)
        asked = [row for row in rows if after is None or row > after[0]][: limit + 1]
        page, cursor = HERE.cut(asked, limit, lambda row: [row])
        assert len(page) <= limit
        seen += page
        if cursor is None:
            break
    assert seen == rows


def test_a_page_says_next_even_when_there_is_none() -> None:
    assert Page[int](items=[1]).model_dump() == {"items": [1], "next": None}
