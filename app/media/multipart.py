"""multipart/form-data as a stream: parts come while their bytes arrive, and nothing is spooled.

Limits (`IntakeSettings`) count the bytes that really came. At most one chunk of the network and
one of ours are held at a time, so a slow reader slows the sender.
"""

from collections.abc import AsyncIterator

from app.core.errors import PayloadTooLarge, Problem
from app.core.packing import demand_plain
from app.core.settings import IntakeSettings
from app.media.errors import TextTooLarge
from app.media.feed import Feed, PartEnd
from app.media.headers import Head, boundary_of
from app.media.texts import decode

_PIECE = 64 * 1024
_CHARSET_NAME = 40
_CHARSET_FIELD = "_charset_"


class Part:
    """One part; iterate over it for its bytes, before asking for the next part."""

    def __init__(self, head: Head, body: "_Body", charset: str | None) -> None:
        self.name = head.name
        self.filename = head.filename
        self.content_type = head.content_type
        self.charset = head.charset or charset
        self.is_file = head.is_file
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body.bytes_of(self)

    async def text(self, limit: int) -> str:
        """The part as text, at most `limit` bytes of it.

        Raises TextTooLarge, CharsetRefused, TextUndecodable.
        """
        gathered = bytearray()
        async for chunk in self:
            gathered += chunk
            if len(gathered) > limit:
                raise TextTooLarge(limit=limit)
        return decode(bytes(gathered), self.charset)


def check_request(
    content_type: str,
    content_length: int | None,
    content_encoding: str | None,
    limits: IntakeSettings,
) -> bytes:
    """Everything that can be refused before the first byte of the body. Returns the boundary.

    Raises ContentEncodingRefused, PayloadTooLarge and the problems of `boundary_of`.
    """
    demand_plain(content_encoding)
    if content_length is not None and content_length > limits.request_bytes:
        raise PayloadTooLarge(limit=limits.request_bytes)
    return boundary_of(content_type, limits.boundary_bytes)


async def parts(
    content_type: str, stream: AsyncIterator[bytes], limits: IntakeSettings
) -> AsyncIterator[Part]:
    """The parts of a body in their order; what is left of a part is skipped by asking for the next.

    The field `_charset_` is not handed out: it names the charset of the texts after it.
    Raises the problems of app.media.errors, and whatever the stream raises.
    """
    body = _Body(boundary_of(content_type, limits.boundary_bytes), stream, limits)
    charset: str | None = None
    while (head := await body.next_head()) is not None:
        part = body.open(head, charset)
        if head.name == _CHARSET_FIELD and not head.is_file:
            charset = (await part.text(_CHARSET_NAME)).strip()
        else:
            yield part


class _Body:
    """Pulls pieces of the stream through the parser and hands its findings out one by one."""

    def __init__(
        self, boundary: bytes, stream: AsyncIterator[bytes], limits: IntakeSettings
    ) -> None:
        self._pieces = _pieces(stream, limits.request_bytes)
        self._feed = Feed(boundary, limits)
        self._current: Part | None = None

    def open(self, head: Head, charset: str | None) -> Part:
        self._current = Part(head, self, charset)
        return self._current

    async def next_head(self) -> Head | None:
        """Skips to the next part. None after the last one, when the whole body was well-formed."""
        self._current = None
        while (event := await self._next()) is not None:
            if isinstance(event, Head):
                return event
        return None

    async def bytes_of(self, part: Part) -> AsyncIterator[bytes]:
        while self._current is part:
            event = await self._next()
            if not isinstance(event, bytes):
                self._current = None
                return
            yield event

    async def _next(self) -> Head | bytes | PartEnd | None:
        events = self._feed.events
        while not events:
            piece = await anext(self._pieces, None)
            if piece is None:
                self._feed.check_whole()
                return None
            self._feed.write(piece)
        event = events.popleft()
        if isinstance(event, Problem):
            events.appendleft(event)  # who asks again is told the same
            raise event
        return event


async def _pieces(stream: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """The stream cut small, so that one piece never yields much; raises PayloadTooLarge."""
    total = 0
    async for chunk in stream:
        for start in range(0, len(chunk), _PIECE):
            piece = chunk[start : start + _PIECE]
            total += len(piece)
            if total > limit:
                raise PayloadTooLarge(limit=limit)
            yield piece
