"""Clients that hear an inbox over links that break: by stream and by long poll, without any mercy.

Neither ever drops what it has had before: whatever a server repeats, skips or changes shows.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import httpx
import orjson
from httpx_sse import aconnect_sse
from sqlalchemy import insert, select

from app.accounts.access_tokens import make_access_token
from app.accounts.models import LoginSession, Person
from app.core.clock import SystemClock
from app.core.db import new_id
from tests.faults.world import WORKERS, World

PAUSE_S = 0.02
_TIMEOUT = httpx.Timeout(20.0)
_TLS = ssl.create_default_context()  # unused on loopback, and slow to make for each
_SMALL = 4096


class Client:
    """One terminal of somebody; `log` holds (number, event's subject) as they came."""

    def __init__(self, url: str, token: str) -> None:
        self.log: list[tuple[int, str]] = []
        self.connections = 0
        self.greeted = False
        self.byes: list[str] = []
        self.refused = 0
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}

    @property
    def last(self) -> int:
        return self.log[-1][0] if self.log else 0

    async def stream(self) -> None:
        """For ever; comes back from its last number on."""
        await self._again(self._follow)

    async def poll(self) -> None:
        """For ever."""
        await self._again(self._ask)

    async def until(self, number: int, seconds: float) -> None:
        """Until it has this one; returns late rather than never."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.last < number:  # noqa: ASYNC110 - told by another task
                    await asyncio.sleep(PAUSE_S)

    async def _again(self, hear: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
        while True:
            async with httpx.AsyncClient(
                base_url=self._url,
                headers=self._headers,
                timeout=_TIMEOUT,
                verify=_TLS,
                trust_env=False,
            ) as client:
                with suppress(httpx.TransportError):
                    await hear(client)
            self.connections += 1
            await asyncio.sleep(PAUSE_S)

    async def _follow(self, client: httpx.AsyncClient) -> None:
        resume = {"Last-Event-ID": str(self.last)}
        async with aconnect_sse(client, "GET", "/v1/inbox/stream", headers=resume) as source:
            if source.response.status_code != httpx.codes.OK:
                self.refused += 1
                return
            async for event in source.aiter_sse():
                if event.event == "notice":
                    self.log.append((int(event.id), event.json()["incident_id"]))
                elif event.event == "hello":
                    self.greeted = True
                elif event.event == "bye":
                    self.byes.append(event.json()["reason"])

    async def _ask(self, client: httpx.AsyncClient) -> None:
        asked = {"after": self.last, "limit": 7, "wait": 5}
        while True:
            answer = await client.get("/v1/inbox", params=asked)
            if answer.status_code != httpx.codes.OK:
                self.refused += 1
                return
            page = orjson.loads(answer.content)
            self.log += [(item["seq"], item["incident_id"]) for item in page["items"]]
            asked["after"] = self.last


async def people_of(world: World) -> list[UUID]:
    """The workers, in their order."""
    names = [name for name, _ in WORKERS]
    async with world.resources.sessions.read() as session:
        rows = await session.execute(
            select(Person.username, Person.id).where(Person.username.in_(names))
        )
        found: dict[str, UUID] = {row.username: row.id for row in rows}
    return [found[name] for name in names]


async def signed_in(world: World, person: UUID, count: int) -> list[str]:
    """Tokens of as many sessions, each a device of its own; passwords would take minutes."""
    resources = world.at(SystemClock())
    now = resources.clock.now()
    ids = [new_id() for _ in range(count)]
    logins = [
        {
            "id": id_,
            "person_id": person,
            "created_at": now,
            "last_used_at": now,
            "expires_at": now + timedelta(days=1),
        }
        for id_ in ids
    ]
    async with resources.sessions.begin() as session:
        await session.execute(insert(LoginSession), logins)
    return [make_access_token(resources, person, id_, "person") for id_ in ids]


class Screen:
    """A stream on a bare socket: cheap enough for a thousand, and as lazy a reader as wanted."""

    def __init__(self, port: int, token: str, last: int) -> None:
        self._port, self._token, self._last = port, token, last
        self._writer: asyncio.StreamWriter | None = None
        self.came = b""
        self.complete = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def open(self, *, reads: bool = True) -> None:
        """Connect and ask; one that does not read takes what its small buffers hold."""
        reader, self._writer = await asyncio.open_connection(
            sock=await _connected(self._port, None if reads else _SMALL)
        )
        if not reads:
            self._writer.transport.pause_reading()  # type: ignore[attr-defined]  # it reads as well
        self._writer.write(
            f"GET /v1/inbox/stream?last_event_id={self._last} HTTP/1.1\r\nHost: etong.test\r\n"
            f"Authorization: Bearer {self._token}\r\n\r\n".encode()
        )
        if reads:
            self._reading = asyncio.create_task(self._read(reader))

    async def heard(self, words: bytes, seconds: float) -> bool:
        """Whether these came in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while words not in self.came and not self.complete.is_set():  # noqa: ASYNC110 - as above
                    await asyncio.sleep(PAUSE_S)
        return words in self.came

    @property
    def retries(self) -> list[int]:
        return [int(found) for found in re.findall(rb"retry: (\d+)\n", self.came)]

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._writer is not None:
            self._writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while chunk := await reader.read(2**16):
                self.came += chunk
        self.complete.set()


async def _connected(port: int, buffer: int | None) -> socket.socket:
    connecting = socket.socket()
    connecting.setblocking(False)  # noqa: FBT003 - the standard library's signature
    if buffer is not None:
        connecting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    await asyncio.get_running_loop().sock_connect(connecting, ("127.0.0.1", port))
    return connecting
