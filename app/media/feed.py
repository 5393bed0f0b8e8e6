"""The push parser of multipart bodies with our limits: pieces go in, heads and bytes come out."""

from collections import deque
from collections.abc import Mapping

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from app.core.errors import Problem
from app.core.settings import IntakeSettings
from app.media.errors import (
    MultipartMalformed,
    MultipartTruncated,
    PartHeaderTooLarge,
    SlackTooLarge,
    TooManyFiles,
    TooManyPartHeaders,
    TooManyParts,
)
from app.media.headers import Head, head_of

_UNLIMITED = 1 << 40
"""For the parser's own limits: ours are counted here and have problems of their own."""


class PartEnd:
    """A part is over."""


Event = Head | bytes | PartEnd | Problem


class Feed:
    """The push parser with our counters; refusals stand among the events, in their place."""

    def __init__(self, boundary: bytes, limits: IntakeSettings) -> None:
        self.events: deque[Event] = deque()
        self._limits = limits
        self._delimiter = b"\r\n--" + boundary
        self._window = b"\r\n"
        """What was seen before the piece, as long as a delimiter may need."""
        self._started = self._ended = False
        self._slack = self._parts = self._files = 0
        self._headers: dict[str, bytes] = {}
        self._header_name, self._header_value = bytearray(), bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_end": self._on_end,
            },
            max_header_count=_UNLIMITED,
            max_header_size=_UNLIMITED,
        )

    def write(self, piece: bytes) -> None:
        try:
            if self._ended:
                self._count_slack(len(piece))
            else:
                self._parse(piece if self._started else self._without_preamble(piece))
        except FormParserError:
            self.events.append(MultipartMalformed())
        except Problem as refusal:
            self.events.append(refusal)

    def check_whole(self) -> None:
        if not self._ended:
            raise MultipartTruncated

    def _without_preamble(self, piece: bytes) -> bytes:
        self._window += piece
        found = self._window.find(self._delimiter)
        before = found if found >= 0 else len(self._window) - len(self._delimiter)
        if before > self._limits.slack_bytes:
            raise SlackTooLarge(limit=self._limits.slack_bytes)
        if found < 0:
            return b""
        self._slack = found
        self._started = True
        body, self._window = self._window[found + 2 :], b"\r\n"
        return body

    def _parse(self, piece: bytes) -> None:
        if not piece:
            return
        self._parser.write(piece)
        if self._ended:
            seen = self._window + piece
            closing = self._delimiter + b"--"
            self._count_slack(len(seen) - seen.find(closing) - len(closing))
        else:
            # the closing delimiter may lie across any number of pieces
            keep = len(self._delimiter) + 2
            self._window = (self._window + piece[-keep:])[-keep:]

    def _count_slack(self, size: int) -> None:
        self._slack += size
        if self._slack > self._limits.slack_bytes:
            raise SlackTooLarge(limit=self._limits.slack_bytes)

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > self._limits.parts:
            raise TooManyParts(limit=self._limits.parts)
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]
        self._check_header()

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]
        self._check_header()

    def _check_header(self) -> None:
        if len(self._header_name) + len(self._header_value) > self._limits.header_bytes:
            raise PartHeaderTooLarge(limit=self._limits.header_bytes)
        if len(self._headers) >= self._limits.headers_per_part:
            raise TooManyPartHeaders(limit=self._limits.headers_per_part)

    def _on_header_end(self) -> None:
        name = self._header_name.decode("ascii").lower()
        if name in self._headers:
            raise MultipartMalformed
        self._headers[name] = bytes(self._header_value)
        self._header_name, self._header_value = bytearray(), bytearray()

    def _on_headers_finished(self) -> None:
        head = self._head(self._headers)
        self.events.append(head)

    def _head(self, headers: Mapping[str, bytes]) -> Head:
        head = head_of(headers)
        self._files += head.is_file
        if self._files > self._limits.files:
            raise TooManyFiles(limit=self._limits.files)
        return head

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.events.append(data[start:end])

    def _on_part_end(self) -> None:
        self.events.append(PartEnd())

    def _on_end(self) -> None:
        self._ended = True
