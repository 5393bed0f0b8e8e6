"""The live stream of one inbox: server-sent events on plain ASGI.

Subscribe first, then read: whatever is committed while a client is being served is either in the
rows already or wakes it. No session is held while a client waits.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.accounts.caller import Caller
from app.accounts.recognition import still_recognised
from app.core.resources import Resources
from app.core.wakeups import Waiter, listening
from app.notifications.inbox import subject
from app.notifications.models import Notice
from app.notifications.queries import Marks, marks_of, notices_after
from app.notifications.schemas import NoticeView

log = structlog.get_logger()

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

LIFETIME = timedelta(minutes=10)
BATCH = 100
SLOW_READER_S = 30.0
_COME_BACK_LATER = b"retry: 30000\n"
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(slots=True)
class Stream:
    """One connected client. `after`: the last number it has; None: go on from its last ack."""

    resources: Resources
    caller: Caller
    after: int | None
    heartbeat_s: float
    _recognised_until: float = field(default=0.0, init=False)

    async def serve(self, receive: Receive, send: Send) -> None:
        """Serve until the client leaves, the token ends, ten minutes pass or the server drains."""
        leaving = asyncio.create_task(_left(receive))
        serving = asyncio.create_task(self._serve(send))
        try:
            await asyncio.wait({leaving, serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (leaving, serving):
                task.cancel()
                # a client that is gone makes send fail; it has left, that is all
                with suppress(asyncio.CancelledError, OSError, TimeoutError):
                    await task

    async def _serve(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if self.resources.draining.is_set():
            # a 503 would stop an EventSource for good: it is asked to come back later (P8)
            farewell = _COME_BACK_LATER + _event("bye", {"reason": "draining"})
            await self._write(send, farewell, last=True)
            return
        started = self.resources.clock.now()
        with listening(self.resources.wakeups, subject(self.caller.id)) as waiter:
            try:
                await self._write(send, await self._hello())
                why = await self._live(send, waiter, started)
            except (OperationalError, InterfaceError, PoolTimeout) as lost:
                # the database is away: the client comes back with its number, nothing is missed
                log.warning("stream_interrupted", error=type(lost).__name__)
                why = "interrupted"
        await self._write(send, _event("bye", {"reason": why}), last=True)

    async def _live(self, send: Send, waiter: Waiter, started: datetime) -> str:
        """Pass on what comes until there is a reason to end, which is returned."""
        poll, ticking = self.resources.settings.wakeups.poll_s, asyncio.get_running_loop().time
        beat = ticking() + self.heartbeat_s
        while (why := await self._end(started)) is None:
            if await self._pass_on(send):
                beat = ticking() + self.heartbeat_s
                continue
            await waiter.wait(min(poll, max(beat - ticking(), 0)))
            if ticking() >= beat:
                await self._write(send, b": keep-alive\n\n")
                beat = ticking() + self.heartbeat_s
        return why

    async def _hello(self) -> bytes:
        marks = await self._marks()
        if self.after is None:
            self.after = marks.acked
        gap = marks.oldest > self.after + 1 or self.after > marks.head
        facts = {
            "server_time": self.resources.clock.now(),
            "oldest_seq": marks.oldest,
            "head_seq": marks.head,
            "gap": gap,
        }
        # a number from another life of the server: begin with what there is
        self.after = min(self.after, marks.head)
        retry_ms = random.randint(3000, 8000)  # noqa: S311 - jitter, not a secret
        return f"retry: {retry_ms}\n".encode() + _event("hello", facts)

    async def _pass_on(self, send: Send) -> bool:
        """Send what is newer. False: nothing was."""
        notices = await self._newer()
        if not notices:
            return False
        await self._write(send, b"".join(_frame(notice) for notice in notices))
        self.after = notices[-1].seq
        return True

    async def _end(self, started: datetime) -> str | None:
        if self.resources.draining.is_set():
            return "draining"
        if self.resources.clock.now() - started >= LIFETIME:
            return "lifetime"
        if not await self._is_recognised():
            return "session-ended"
        return None

    async def _is_recognised(self) -> bool:
        """The session is asked for every third poll: well within the promised minute (P7)."""
        ticks = asyncio.get_running_loop().time()
        if ticks < self._recognised_until and self.caller.expires_at > self.resources.clock.now():
            return True
        self._recognised_until = ticks + 3 * self.resources.settings.wakeups.poll_s
        return await still_recognised(self.resources, self.caller)

    async def _newer(self) -> Sequence[Notice]:
        async with self.resources.sessions.read() as session:
            return await notices_after(session, self.caller.id, self.after or 0, BATCH)

    async def _marks(self) -> Marks:
        async with self.resources.sessions.read() as session:
            return await marks_of(session, self.caller.id)

    async def _write(self, send: Send, body: bytes, *, last: bool = False) -> None:
        """Raises TimeoutError for a reader that takes nothing for 30 s."""
        message = {"type": "http.response.body", "body": body, "more_body": not last}
        # not wait_for: it swallows a cancellation that arrives when `send` has just ended
        async with asyncio.timeout(SLOW_READER_S):
            await send(message)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _frame(notice: Notice) -> bytes:
    data = NoticeView.model_validate(notice).model_dump_json()
    return f"id: {notice.seq}\nevent: notice\ndata: {data}\n\n".encode()


def _event(name: str, facts: dict[str, Any]) -> bytes:
    return (
        f"event: {name}\ndata: ".encode() + orjson.dumps(facts, option=orjson.OPT_UTC_Z) + b"\n\n"
    )
