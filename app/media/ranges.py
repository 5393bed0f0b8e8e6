"""Single byte ranges (RFC 9110 §14). Pure."""

import re
from typing import NamedTuple

from app.media.errors import RangeNotSatisfiable

_BYTES = re.compile(r"\s*bytes\s*=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)


class Span(NamedTuple):
    """Bytes [start, end) of `size`."""

    start: int
    end: int
    size: int

    @property
    def content_range(self) -> str:
        return f"bytes {self.start}-{self.end - 1}/{self.size}"


def wanted_span(header: str | None, if_range: str | None, etag: str, size: int) -> Span | None:
    """The range asked for; None: the whole file.

    Several ranges, other units and malformed ones are ignored, as the RFC allows; so is a range
    whose `If-Range` names another version or a date. Raises RangeNotSatisfiable.
    """
    match = _BYTES.fullmatch(header or "")
    if match is None or (if_range is not None and if_range.strip() != etag):
        return None
    first, last = match[1], match[2]
    if first:
        return _between(int(first), int(last) + 1 if last else size, size)
    if last:
        return _between(max(size - int(last), 0), size, size)
    return None


def _between(start: int, end: int, size: int) -> Span | None:
    if end <= start < size:  # last before first: not a range at all
        return None
    if start >= size:
        raise RangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return Span(start, min(end, size), size)
