"""Limits of request bodies that are read whole: their size, and how slow a sender may be.

Plain ASGI, inside RequestContext. It answers 413 and 408 itself and then tells the application
that the client has gone: an exception raised inside `receive` would come out as a 400.
"""

import asyncio
import re
from collections.abc import Mapping

from app.core.asgi import (
    BODY,
    DISCONNECT,
    REQUEST,
    START,
    App,
    Message,
    Receive,
    Scope,
    Send,
    header_of,
    refuse,
)
from app.core.errors import PayloadTooLarge, SenderSilent
from app.core.pace import Pace, Pacing

_LINGER_S = 2.0
_LINGER_BYTES = 8 * 1024 * 1024
_CLOSE = {"Connection": "close"}


class BodyLimits:
    """`app.add_middleware(BodyLimits, most=…, pace=…, exceptions={"/v1/areas/import": …})`.

    `most`: bytes of a body that is not multipart (multipart counts its own parts). `exceptions`:
    path prefix → bytes, or None where the feature reads the stream under its own limits, pace
    included; `*` stands for one segment (`/v1/incidents/*/attachments`); the first match wins.
    """

    def __init__(
        self, app: App, *, most: int, pace: Pace, exceptions: Mapping[str, int | None]
    ) -> None:
        self._app = app
        self._most = most
        self._pace = pace
        self._exceptions = [(_pattern(prefix), limit) for prefix, limit in exceptions.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = self._limit(scope) if scope["type"] == "http" else None
        if limit is None:
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, send, limit=limit, pacing=Pacing(self._pace))
        if body.announced > limit:
            await body.refuse_size()
            return
        await self._app(scope, body.receive, body.send)

    def _limit(self, scope: Scope) -> float | None:
        """Bytes; infinite for multipart; None: hands off."""
        for pattern, limit in self._exceptions:
            if pattern.match(scope["path"]):
                return limit
        kind = (header_of(scope, b"content-type") or "").strip().lower()
        return float("inf") if kind.startswith("multipart/") else self._most


def _pattern(prefix: str) -> re.Pattern[str]:
    segments = "/".join("[^/]+" if part == "*" else re.escape(part) for part in prefix.split("/"))
    return re.compile(segments + "(?:/|$)")


class _Body:
    """One request's body on its way in."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, limit: float, pacing: Pacing
    ) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._limit, self._pacing = limit, pacing
        self._size = 0
        self._complete = False
        self._answering = False
        self._refused = False
        length = header_of(scope, b"content-length") or ""
        self.announced = int(length) if length.isascii() and length.isdigit() else 0

    async def receive(self) -> Message:
        if self._refused:
            return {"type": DISCONNECT}
        if self._complete or self._answering:  # now only a departure can come
            return await self._receive()
        try:
            async with self._pacing.waiting():
                message = await self._receive()
        except TimeoutError:
            return await self._refuse_silence()
        return await self._counted(message)

    async def send(self, message: Message) -> None:
        if self._refused:
            return
        self._answering = self._answering or message["type"] == START
        await self._send(message)

    async def _counted(self, message: Message) -> Message:
        if message["type"] != REQUEST:
            return message
        size = len(message.get("body", b""))
        self._size += size
        self._pacing.heard(size)
        self._complete = not message.get("more_body", False)
        if self._size <= self._limit:
            return message
        await self.refuse_size()
        return {"type": DISCONNECT}

    async def refuse_size(self) -> None:
        self._refused = True
        problem = PayloadTooLarge(limit=int(self._limit), headers=_CLOSE)
        await refuse(self._scope, self._send, problem, more_body=True)
        # closing on a sender in mid-sentence resets the link and the answer with it
        await self._linger()
        await self._send({"type": BODY, "body": b""})

    async def _refuse_silence(self) -> Message:
        self._refused = True
        await refuse(self._scope, self._send, SenderSilent(headers=_CLOSE))
        return {"type": DISCONNECT}

    async def _linger(self) -> None:
        """Read on for a moment and forget it."""
        heard = 0
        try:
            async with asyncio.timeout(_LINGER_S):
                while not self._complete and heard < _LINGER_BYTES:
                    message = await self._receive()
                    heard += len(message.get("body", b""))
                    self._complete = not message.get("more_body", False)
        except TimeoutError:
            return
