"""The live stream of one inbox: server-sent events on plain ASGI.

Subscribe first, then read: whatever is committed while a client is being served is either in the
rows already or wakes it. No session is held while a client waits.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from app.accounts.caller import Caller
from app.accounts.recognition import still_recognised
from app.core.resources import Resources
from app.core.wakeups import Waiter, listening
from app.notifications.inbox import subject
from app.notifications.models import Notice
from app.notifications.queries import Marks, marks_of, notices_after
from app.notifications.schemas import NoticeView

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

LIFETIME = timedelta(minutes=10)
BATCH = 100
SLOW_READER_S = 30.0
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
    heartbeat_s: int

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
        started = self.resources.clock.now()
        with listening(self.resources.wakeups, subject(self.caller.id)) as waiter:
            await self._write(send, await self._hello())
            while (why := await self._end(started)) is None:
                await self._pass_on(send, waiter)
        await self._write(send, _event("bye", {"reason": why}), last=True)

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

    async def _pass_on(self, send: Send, waiter: Waiter) -> None:
        """Send what is there; where nothing is, wait for a wakeup, the poll or the heartbeat."""
        notices = await self._newer()
        if notices:
            await self._write(send, b"".join(_frame(notice) for notice in notices))
            self.after = notices[-1].seq
            return
        poll = self.resources.settings.wakeups.poll_s
        waited, rest = 0.0, float(self.heartbeat_s)
        while waited < rest and not self.resources.draining.is_set():
            pause = min(poll, rest - waited)
            if await waiter.wait(pause) or await self._newer():
                return
            waited += pause
        await self._write(send, b": keep-alive\n\n")

    async def _end(self, started: Any) -> str | None:  # noqa: ANN401 - the clock's own type
        now = self.resources.clock.now()
        if self.resources.draining.is_set():
            return "draining"
        if now - started >= LIFETIME:
            return "lifetime"
        if not await still_recognised(self.resources, self.caller):
            return "session-ended"
        return None

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
