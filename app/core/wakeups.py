"""Wakeups: "there is something new for X". A hint, never the truth; every waiter also polls."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import orjson
import psycopg
import structlog

CHANNEL = "etong_wakeups"
_NOTIFY_BYTES = 7000
"""PostgreSQL refuses a payload of 8,000 bytes."""
_RECONNECT_S = 1.0

log = structlog.get_logger()


Heard = Callable[[str | None], None]
"""What follows the colon of a subject; None: anything may have been missed."""


class Waiter:
    """One waiting client."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """True when the subject was woken since the last look, False after `seconds`."""
        # not wait_for: it swallows a cancellation that arrives together with the wakeup
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        woken = self._event.is_set()
        self._event.clear()
        return woken


class Wakeups(Protocol):
    async def publish(self, subjects: Iterable[str]) -> None:
        """Tell every process about these subjects; called after the commit."""

    def listen(self, *subjects: str) -> Waiter:
        """A waiter for these subjects; give it back with `forget`."""

    def forget(self, waiter: Waiter) -> None: ...

    def watch(self, kind: str, heard: Heard) -> None:
        """Be told of every subject of this kind (`inbox` of `inbox:…`), for the process's life."""

    def wake_all(self) -> None:
        """Make everybody who waits in this process look."""

    async def close(self) -> None: ...


class Waiters:
    """The waiting clients of one process, by subject."""

    def __init__(self) -> None:
        self._by_subject: dict[str, set[Waiter]] = defaultdict(set)
        self._subjects: dict[Waiter, tuple[str, ...]] = {}
        self._watching: dict[str, Heard] = {}

    def listen(self, *subjects: str) -> Waiter:
        waiter = Waiter()
        self._subjects[waiter] = subjects
        for subject in subjects:
            self._by_subject[subject].add(waiter)
        return waiter

    def forget(self, waiter: Waiter) -> None:
        for subject in self._subjects.pop(waiter, ()):
            self._by_subject[subject].discard(waiter)
            if not self._by_subject[subject]:
                del self._by_subject[subject]

    def watch(self, kind: str, heard: Heard) -> None:
        self._watching[kind] = heard

    def wake(self, subjects: Iterable[str]) -> None:
        for subject in subjects:
            for waiter in self._by_subject.get(subject, ()):
                waiter.wake()
            kind, _, name = subject.partition(":")
            if kind in self._watching:
                self._watching[kind](name)

    def wake_all(self) -> None:
        """After a gap in listening nobody knows what was missed: everybody looks."""
        for waiter in self._subjects:
            waiter.wake()
        for heard in self._watching.values():
            heard(None)


@contextmanager
def listening(wakeups: Wakeups, *subjects: str) -> Iterator[Waiter]:
    """Hold a waiter for a `with` block: subscribe first, then read."""
    waiter = wakeups.listen(*subjects)
    try:
        yield waiter
    finally:
        wakeups.forget(waiter)


class MemoryWakeups(Waiters):
    """The double, with the faults a real one has: dropped and doubled hints."""

    def __init__(self) -> None:
        super().__init__()
        self.dropping = False
        self.published: list[str] = []

    async def publish(self, subjects: Iterable[str]) -> None:
        wanted = list(subjects)
        self.published.extend(wanted)
        if not self.dropping:
            self.wake(wanted)
            self.wake(wanted)

    async def close(self) -> None:
        """Nothing is open."""


class PostgresWakeups(Waiters):
    """NOTIFY in a transaction of its own, one LISTEN connection a process."""

    def __init__(self, url: str) -> None:
        """`url` leads straight to the server: a pooler swallows LISTEN without a word."""
        super().__init__()
        self._dsn = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._task: asyncio.Task[None] | None = None
        self._sender: psycopg.AsyncConnection | None = None
        self._sending = asyncio.Lock()

    def start(self) -> None:
        """Begin to listen; needs a running event loop."""
        self._task = asyncio.create_task(self._listen_for_ever(), name="wakeups")

    async def publish(self, subjects: Iterable[str]) -> None:
        """A failed hint is logged, not raised: the poll of every waiter makes up for it."""
        async with self._sending:
            try:
                for payload in _payloads(subjects):
                    await (await self._connection()).execute(
                        "SELECT pg_notify(%s, %s)", (CHANNEL, payload)
                    )
            except psycopg.Error as error:
                log.warning("wakeup_lost", error=type(error).__name__)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._sender is not None:
            await self._sender.close()

    async def _connection(self) -> psycopg.AsyncConnection:
        if self._sender is None or self._sender.closed:
            self._sender = await psycopg.AsyncConnection.connect(
                self._dsn, autocommit=True, connect_timeout=5
            )
        return self._sender

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen_once()
            except psycopg.Error as error:
                log.warning("wakeups_reconnect", error=type(error).__name__)
            await asyncio.sleep(_RECONNECT_S)

    async def _listen_once(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._dsn, autocommit=True, connect_timeout=5
        )
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            self.wake_all()
            async for notice in connection.notifies():
                self.wake(_subjects(notice.payload))


def _subjects(payload: str) -> list[str]:
    """What a NOTIFY of ours names; one of somebody else's names nothing, and harms nothing."""
    try:
        named = orjson.loads(payload)
    except ValueError:
        return []
    return [item for item in named if isinstance(item, str)] if isinstance(named, list) else []


def _payloads(subjects: Iterable[str]) -> Iterator[str]:
    """JSON lists of subjects, each list small enough for one NOTIFY."""
    batch: list[str] = []
    size = 2
    for subject in dict.fromkeys(subjects):
        if size + len(subject) + 3 > _NOTIFY_BYTES:
            yield orjson.dumps(batch).decode()
            batch, size = [], 2
        batch.append(subject)
        size += len(subject) + 3
    if batch:
        yield orjson.dumps(batch).decode()
