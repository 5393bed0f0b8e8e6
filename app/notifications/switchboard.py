"""The streams of one process: who is woken by what, and the questions asked for all at once.

Wakeups are hints. Every poll asks for all inboxes together whether somebody was not woken; every
third poll, whether a session has ended meanwhile or a device has newer streams elsewhere (P7, P13).
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.accounts.recognition import ended_sessions
from app.core.batching import Batched
from app.core.errors import OutcomeUnknown
from app.core.resources import Resources
from app.notifications import devices, queries

KIND = "inbox"
_DEVICE = "device"
_AT_ONCE = 1_000
"""Streams one statement asks for."""
_READERS = 50
"""Inboxes one statement reads: `queries.NEWER` notices of each at most."""

log = structlog.get_logger()
ItemT = TypeVar("ItemT")


class Listening(Protocol):
    """What the switchboard knows of a stream."""

    id: UUID
    person_id: UUID
    session_id: UUID
    device: str
    after: int | None
    ends_at: datetime
    ends_for: str
    """Why it ends then."""

    def look(self) -> None:
        """There may be something new."""

    def end(self, why: str) -> None: ...


class Switchboard:
    """Get it with `resources.the(Switchboard)`."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        sessions = resources.sessions
        self._streams: dict[UUID, Listening] = {}
        self._of_person: dict[str, list[Listening]] = defaultdict(list)
        self._closed: list[UUID] = []
        self._doubted: set[str] = set()
        self._polling: asyncio.Task[None] | None = None
        self._now = asyncio.Event()
        self.newer = Batched(partial(queries.newer_of_many, sessions), _READERS)
        self.marks = Batched(partial(queries.marks_of_many, sessions), _AT_ONCE)
        self._opening = Batched(self._open, _AT_ONCE)
        resources.wakeups.watch(KIND, self._woken)
        resources.wakeups.watch(_DEVICE, self._device_opened)

    def __len__(self) -> int:
        return len(self._streams)

    def join(self, stream: Listening) -> None:
        """From now on it is woken: subscribe first, then read."""
        self._streams[stream.id] = stream
        self._of_person[str(stream.person_id)].append(stream)
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll_for_ever(), name="switchboard")

    async def opened(self, stream: Listening) -> None:
        """Count it for its device; older ones of the same device are ended, here and elsewhere."""
        await self._opening.ask((stream.id, stream.device))

    async def leave(self, stream: Listening) -> None:
        """The last one to leave puts out the light."""
        del self._streams[stream.id]
        person = str(stream.person_id)
        self._of_person[person].remove(stream)
        if not self._of_person[person]:
            del self._of_person[person]
        self._closed.append(stream.id)
        if not self._streams and self._polling is not None:
            polling, self._polling = self._polling, None
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)
            await self._try(self._forget_closed)

    def _woken(self, name: str | None) -> None:
        if name is not None:
            for stream in self._of_person.get(name, ()):
                stream.look()
            return
        if self._resources.draining.is_set():
            for stream in list(self._streams.values()):
                stream.end("draining")
        self._now.set()

    def _device_opened(self, name: str | None) -> None:
        if name is not None:
            self._doubted.add(name)
            self._now.set()

    async def _open(self, opened: Sequence[tuple[UUID, str]]) -> Sequence[None]:
        now = self._resources.clock.now()
        too_many = await devices.note_open(self._resources.sessions, opened, now)
        elsewhere = {device for id_, device in too_many.items() if id_ not in self._streams}
        self._replace(too_many)
        await self._resources.wakeups.publish({f"{_DEVICE}:{device}" for device in elsewhere})
        return [None] * len(opened)

    def _replace(self, ids: Collection[UUID]) -> None:
        for id_ in ids:
            if id_ in self._streams:
                self._streams[id_].end("replaced")

    async def _poll_for_ever(self) -> None:
        turn = 0
        while True:
            self._now.clear()
            self._end_due()
            await self._try(self._look_up)
            await self._try(self._check_doubted)
            turn = (turn + 1) % 3
            if not turn:
                await self._try(self._recognise)
            await self._try(self._forget_closed)
            try:
                async with asyncio.timeout(self._resources.settings.wakeups.poll_s):
                    await self._now.wait()
            except TimeoutError:
                continue

    async def _try(self, work: Callable[[], Awaitable[None]]) -> None:
        """What can't be asked now is asked with the next poll."""
        try:
            await work()
        except (SQLAlchemyError, OutcomeUnknown, OSError) as lost:
            log.warning("switchboard_poll_failed", error=type(lost).__name__)

    def _end_due(self) -> None:
        now = self._resources.clock.now()
        for stream in list(self._streams.values()):
            if stream.ends_at <= now:
                stream.end(stream.ends_for)

    async def _look_up(self) -> None:
        """Who was not woken although there is something (P9)."""
        waiting = [s for s in self._streams.values() if s.after is not None]
        for some in _cut(waiting):
            asked = [(stream.person_id, stream.after or 0) for stream in some]
            late = await queries.behind(self._resources.sessions, asked)
            for stream in some:
                if stream.person_id in late:
                    stream.look()

    async def _recognise(self) -> None:
        for some in _cut(list(self._streams.values())):
            ids = {stream.session_id for stream in some}
            now = self._resources.clock.now()
            ended = await ended_sessions(self._resources.sessions, ids, now)
            for stream in some:
                if stream.session_id in ended:
                    stream.end("session-ended")
        self._doubted.update(stream.device for stream in self._streams.values())
        await self._check_doubted()

    async def _check_doubted(self) -> None:
        doubted, self._doubted = self._doubted, set()
        mine = {stream.device for stream in self._streams.values()} & doubted if doubted else ()
        for some in _cut(list(mine)):
            self._replace(await devices.superfluous(self._resources.sessions, some))

    async def _forget_closed(self) -> None:
        closed = self._closed[:_AT_ONCE]
        if closed:
            await devices.note_closed(self._resources.sessions, closed, self._resources.clock.now())
            del self._closed[: len(closed)]


def _cut(items: Sequence[ItemT]) -> Iterator[Sequence[ItemT]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
