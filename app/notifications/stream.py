"""The live stream of one inbox: server-sent events on plain ASGI.

While nothing happens a stream is one task that waits for its client to leave. What there is to
write is written by a task that exists only meanwhile; for it the switchboard reads for many at
once. No session is held while a client waits.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import structlog
from sqlalchemy import Row
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.accounts.caller import Caller
from app.core.asgi import BODY, DISCONNECT, START, Receive, Send
from app.core.db import new_id
from app.core.errors import OutcomeUnknown
from app.core.resources import Resources
from app.notifications.delivered import note_delivered
from app.notifications.queries import NEWER
from app.notifications.schemas import NoticeView
from app.notifications.switchboard import Switchboard

log = structlog.get_logger()

LIFETIME = timedelta(minutes=10)
SLOW_READER_S = 30.0
COME_BACK_LATER = b"retry: 30000\n"
_RETRY_MS = (3000, 8000)
_FIELDS = tuple(NoticeView.model_fields)
_KEEP_ALIVE = b": keep-alive\n\n"
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class Stream:
    """One connected client. `after`: the last number it has; None: go on from its last ack."""

    __slots__ = (
        "_abort",
        "_beat",
        "_board",
        "_greeted",
        "_heartbeat_s",
        "_news",
        "_resources",
        "_send",
        "_silent_since",
        "_waiting",
        "_why",
        "_writing",
        "after",
        "device",
        "ends_at",
        "ends_for",
        "id",
        "person_id",
        "session_id",
    )

    def __init__(
        self,
        resources: Resources,
        caller: Caller,
        after: int | None,
        heartbeat_s: float,
        abort: Callable[[], None] = lambda: None,
    ) -> None:
        """`abort` ends the connection without waiting for who does not read."""
        # of the caller only what is asked for later: there are thousands of streams
        self.id: UUID = new_id()
        self.person_id = caller.id
        self.session_id = caller.session_id
        self.device = caller.terminal_id or str(caller.session_id)
        self.after = after
        lifetime_ends = resources.clock.now() + LIFETIME
        self.ends_at = min(lifetime_ends, caller.expires_at)
        self.ends_for = "lifetime" if self.ends_at == lifetime_ends else "session-ended"
        self._resources = resources
        self._board = resources.the(Switchboard)
        self._heartbeat_s = heartbeat_s
        self._abort = abort
        self._greeted = False
        self._news = False
        self._why: str | None = None
        self._silent_since = 0.0
        self._beat: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    async def serve(self, receive: Receive, send: Send) -> None:
        """Serve until the client leaves, the token ends, ten minutes pass or the server drains."""
        self._send = send
        await send({"type": START, "status": 200, "headers": _HEADERS})
        if self._resources.draining.is_set():
            # a 503 would stop an EventSource for good: it is asked to come back later (P8)
            self._why = "draining"
            with suppress(OSError):
                await self._say_bye()
            return
        self._board.join(self)
        try:
            self._silent_since = asyncio.get_running_loop().time()
            self._on_beat()
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as self._waiting:
                    self.look()
                    await _left(receive)
        finally:
            await self._close()

    def look(self) -> None:
        """There may be something new; the switchboard calls it, any number of times."""
        self._news = True
        self._write_on()

    def end(self, why: str) -> None:
        """Say goodbye and be done; the first reason counts."""
        if self._why is None:
            self._why = why
            self._write_on()

    def _write_on(self) -> None:
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="stream")

    async def _write_all(self) -> None:
        """Write until there is nothing more to say; never two of these at once."""
        try:
            await self._say_all()
        except TimeoutError:
            log.info("stream_too_slow")
            self._abort()
            self._hang_up()
        except OSError:
            self._hang_up()  # a client that is gone makes send fail; it has left, that is all
        else:
            if self._why is not None:
                self._hang_up()
        finally:
            self._writing = None

    async def _say_all(self) -> None:
        try:
            if not self._greeted:
                await self._greet()
            elif self._is_silent():
                await self._write(_KEEP_ALIVE)
            # nothing is awaited after the last look: who calls `look` meanwhile is not missed
            while self._news and self._why is None:
                self._news = False
                await self._pass_on()
        except (OperationalError, InterfaceError, PoolTimeout, OutcomeUnknown) as lost:
            # the database is away: the client comes back with its number, nothing is missed
            log.warning("stream_interrupted", error=type(lost).__name__)
            self._why = self._why or "interrupted"
        if self._why is not None:
            await self._say_bye()

    async def _greet(self) -> None:
        self._greeted = True
        await self._board.opened(self)
        marks = await self._board.marks.ask(self.person_id)
        after = marks.acked if self.after is None else self.after
        facts = {
            "server_time": self._resources.clock.now(),
            "oldest_seq": marks.oldest,
            "head_seq": marks.head,
            "gap": marks.oldest > after + 1 or after > marks.head,
        }
        # a number from another life of the server: begin with what there is
        self.after = min(after, marks.head)
        await self._write(_soon() + _event("hello", facts))

    async def _pass_on(self) -> None:
        """Send what is newer; if it was as much as is read at once, there may be more."""
        while rows := await self._board.newer.ask((self.person_id, self.after or 0)):
            await self._write(b"".join(_frame(row) for row in rows))
            note_delivered(self._resources, self.person_id, rows)
            self.after = rows[-1].seq
            if len(rows) < NEWER or self._why is not None:
                return

    async def _say_bye(self) -> None:
        await self._write(self._when_to_return() + _event("bye", {"reason": self._why}), last=True)

    def _when_to_return(self) -> bytes:
        """A line for EventSource, where what `hello` said does not stand."""
        if self._why == "replaced" or (self._why == "draining" and not self._greeted):
            return COME_BACK_LATER
        # all of a process's streams end together: they must not come back together (F28, F30)
        return _soon() if self._why == "draining" else b""

    async def _write(self, body: bytes, *, last: bool = False) -> None:
        """Raises TimeoutError for a reader that takes nothing for 30 s."""
        message = {"type": BODY, "body": body, "more_body": not last}
        # not wait_for: it swallows a cancellation that arrives when `send` has just ended
        async with asyncio.timeout(SLOW_READER_S):
            await self._send(message)
        self._silent_since = asyncio.get_running_loop().time()

    def _is_silent(self) -> bool:
        silent_for = asyncio.get_running_loop().time() - self._silent_since
        return silent_for >= self._heartbeat_s

    def _on_beat(self) -> None:
        """Silence is filled (P5); who was written to meanwhile waits again."""
        loop = asyncio.get_running_loop()
        if self._is_silent():
            self._write_on()
            since = loop.time()
        else:
            since = self._silent_since
        self._beat = loop.call_at(since + self._heartbeat_s, self._on_beat)

    def _hang_up(self) -> None:
        with suppress(RuntimeError):  # the client left by itself a moment ago
            self._waiting.reschedule(0)

    async def _close(self) -> None:
        if self._beat is not None:
            self._beat.cancel()
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._board.leave(self)


def _soon() -> bytes:
    return b"retry: %d\n" % random.randint(*_RETRY_MS)  # noqa: S311 - jitter, not a secret


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != DISCONNECT:
        continue


def _frame(row: Row[Any]) -> bytes:
    data = {name: getattr(row, name) for name in _FIELDS}
    body = orjson.dumps(data, option=orjson.OPT_UTC_Z)
    return b"id: %d\nevent: notice\ndata: %s\n\n" % (row.seq, body)


def _event(name: str, facts: dict[str, Any]) -> bytes:
    return (
        f"event: {name}\ndata: ".encode() + orjson.dumps(facts, option=orjson.OPT_UTC_Z) + b"\n\n"
    )
