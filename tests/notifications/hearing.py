"""One client of the stream, driven by hand: what it gets, and how it leaves."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.accounts.access_tokens import read_access_token
from app.accounts.caller import Caller
from app.accounts.recognition import recognise
from app.core.settings import WakeupSettings
from app.notifications.stream import Stream
from tests.district import District

PATIENCE_S = 10.0


@dataclass(frozen=True)
class Event:
    """One event of the stream as a browser would see it."""

    name: str
    id: str | None
    data: dict[str, Any]
    raw: bytes


@dataclass
class Hearing:
    """Collects what the stream sends; `leave` hangs up."""

    started: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    comments: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    retries: list[int] = field(default_factory=list)
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _rest: bytes = b""

    def leave(self) -> None:
        self._gone.set()

    async def receive(self) -> MutableMapping[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.started = dict(message)
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            return
        self._rest += message["body"]
        *whole, self._rest = self._rest.split(b"\n\n")
        for block in whole:
            self._read(block)
        if not message["more_body"]:
            self.complete.set()

    def _read(self, block: bytes) -> None:
        fields: dict[str, str] = {}
        for line in block.decode().split("\n"):
            name, _, value = line.partition(":")
            if not name:
                self.comments.put_nowait(line.encode())
            assert name not in fields, "a field stands twice in an event"
            fields[name] = value.removeprefix(" ")
        if "retry" in fields:
            self.retries.append(int(fields["retry"]))
        if "event" in fields:
            data = orjson.loads(fields["data"])
            event = Event(fields["event"], fields.get("id"), data, block + b"\n\n")
            self.events.put_nowait(event)

    async def event(self, name: str) -> Event:
        """The next event, which must be of this name."""
        async with asyncio.timeout(PATIENCE_S):
            event = await self.events.get()
        assert event.name == name, event
        return event

    async def numbers(self, count: int) -> list[int]:
        """The ids of the next notices."""
        return [int((await self.event("notice")).id or 0) for _ in range(count)]


@asynccontextmanager
async def heard(
    district: District, caller: Caller, after: int | None = None, heartbeat_s: float = 25
) -> AsyncIterator[Hearing]:
    """A stream of this caller, hung up at the end of the block."""
    hearing = Hearing()
    stream = Stream(district.resources, caller, after, heartbeat_s)
    serving = asyncio.create_task(stream.serve(hearing.receive, hearing.send))
    try:
        yield hearing
    finally:
        hearing.leave()
        async with asyncio.timeout(PATIENCE_S):
            await serving


async def caller_of(district: District, who: str) -> Caller:
    """Signed in, as the stream's route would know them."""
    client = await district.client(who)
    token = client.headers["Authorization"].removeprefix("Bearer ")
    return await recognise(district.resources, read_access_token(district.resources, token))


def poll_every(district: District, seconds: float) -> None:
    settings = district.resources.settings
    district.resources.settings = settings.model_copy(
        update={"wakeups": WakeupSettings(poll_s=seconds)}
    )
