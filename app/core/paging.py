"""Keyset pages: opaque signed cursors, the list shape, the Link header's content."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import orjson
from pydantic import BaseModel, Field

from app.core.crypto import Keys, b64, unb64
from app.core.errors import CursorInvalid

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


class Page(BaseModel, Generic[ItemT]):
    """Every list on the wire: `items`, and `next`, the cursor of the next page or null."""

    items: list[ItemT] = Field(max_length=MAX_LIMIT)
    next: str | None = Field(default=None, max_length=1024)


class Cursors:
    """Makes and reads cursors; one made for another question or altered is refused."""

    def __init__(self, keys: Keys, question: str) -> None:
        """`question` binds a cursor to its list, sort order and filters."""
        self._keys = keys
        self._purpose = "cursor:" + question

    def make(self, position: Sequence[Any]) -> str:
        head = b64(orjson.dumps(list(position)))
        return head + "." + self._keys.sign(self._purpose, head.encode())

    def read(self, cursor: str | None) -> list[Any] | None:
        """The position, or None without a cursor. Raises CursorInvalid."""
        if not cursor:
            return None
        head, _, signature = cursor.partition(".")
        try:
            # the text is signed, not what it decodes to: base64 can be written in several ways
            if not self._keys.verify(self._purpose, head.encode(), signature):
                raise CursorInvalid
            position = orjson.loads(unb64(head))
        except ValueError as broken:
            raise CursorInvalid from broken
        return list(position)

    def cut(
        self, rows: Sequence[RowT], limit: int, position: Callable[[RowT], Sequence[Any]]
    ) -> tuple[Sequence[RowT], str | None]:
        """Rows were asked for with limit + 1: the page, and the next cursor if one was left."""
        if len(rows) <= limit:
            return rows, None
        page = rows[:limit]
        return page, self.make(position(page[-1]))
