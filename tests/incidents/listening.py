"""A district behind a listening socket as it is served, and a client that writes every byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from app.serving import _config, _listen, _Server
from tests.district import District
from tests.incidents.paths import WORKER, signed_in

SOON_S = 15.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.body)
        return found

    @property
    def told(self) -> tuple[int, str]:
        """Status and code of a refusal."""
        return self.status, str(self.json["code"])


class Wire:
    """One connection. What is sent needs to be no HTTP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()

    def hang_up(self) -> None:
        self._writer.close()

    async def answer(self, method: str = "") -> Answer:
        """The next one, `100 Continue` included; that to HEAD has no body.

        Raises IncompleteReadError, TimeoutError.
        """
        async with asyncio.timeout(SOON_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").strip().split("\r\n")
            named = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in named}
            size = 0 if method == "HEAD" else int(headers.get("content-length", 0))
            body = await self._reader.readexactly(size)
        return Answer(int(first.split()[1]), headers, body)

    async def closed(self) -> bool:
        """Whether the server says nothing more and ends the connection."""
        async with asyncio.timeout(SOON_S):
            return not await self._reader.read(1)


@dataclass(frozen=True)
class Served:
    district: District
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Wire(reader, writer)
        finally:
            writer.close()

    async def bearer(self, who: str = WORKER) -> str:
        return str((await signed_in(self.district, who)).headers["Authorization"])

    async def ask(self, request: bytes, *rest: bytes) -> Answer:
        """The answer to these bytes on a connection of their own."""
        async with self.wire() as wire:
            await wire.send(request, *rest)
            return await wire.answer()


@asynccontextmanager
async def served(district: District) -> AsyncIterator[Served]:
    """The application on a loopback socket, with the protocol and limits of `etong serve`."""
    started = asyncio.Event()
    listening = _listen("127.0.0.1", 0)
    server = _Server(_config(district.app, district.resources.settings, 1), started.set)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await started.wait()
    try:
        yield Served(district, listening.getsockname()[1])
    finally:
        server.should_exit = True
        await serving
        listening.close()


def head(target: str, **headers: str) -> bytes:
    """`head("POST /v1/incidents", content_length="5")`: the request without its body."""
    lines = [f"{target} HTTP/1.1", "Host: etong.test"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def chunked(body: bytes, size: int = 4096) -> bytes:
    """The body in Transfer-Encoding: chunked."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
