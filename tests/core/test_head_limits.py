"""Heads that are too large or never end, on a real socket with the protocol that is served."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
import uvicorn

from app.core.asgi import Receive, Scope, Send
from app.core.joined_writes import JoinedWritesProtocol
from app.serving import _listen
from tests.incidents.listening import Wire

BEGUN = b"GET / HTTP/1.1\r\nHost: etong.test\r\n"


class Hasty(JoinedWritesProtocol):
    head_s: ClassVar[float] = 0.5


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    listening = _listen("127.0.0.1", 0)
    config = uvicorn.Config(_app, http=Hasty, lifespan="off", log_config=None)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listening])
    yield listening.getsockname()[1]
    await server.shutdown(sockets=[listening])


@asynccontextmanager
async def _wire(port: int) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "more",
    [
        b"X-Long: " + b"x" * 200_000,
        b"".join(b"X-%d: %b\r\n" % (number, b"x" * 100) for number in range(2000)),
        b"X-Long: " + b"x" * 70_000 + b"\r\n\r\n",
    ],
    ids=["a header without end", "headers without end", "a large head that ends"],
)
async def test_h1_heads_beyond_64_kib_are_refused_as_a_problem(port: int, more: bytes) -> None:
    async with _wire(port) as wire:
        await wire.send(BEGUN, more)
        answer = await wire.answer()
        assert answer.told == (431, "header-too-large")
        assert answer.headers["content-type"] == "application/problem+json"
        assert await wire.closed()


async def test_h1_a_head_below_it_is_read(port: int) -> None:
    async with _wire(port) as wire:
        for _ in range(3):
            await wire.send(BEGUN, b"X-Long: " + b"x" * 60_000 + b"\r\n\r\n")
            assert (await wire.answer()).status == 200


@pytest.mark.parametrize("said", [b"", b"G", BEGUN, BEGUN + b"X: y"])
async def test_f4_a_head_that_does_not_come_ends_the_connection(port: int, said: bytes) -> None:
    async with _wire(port) as wire:
        await wire.send(said)
        assert await wire.closed()


async def test_f4_a_head_that_dribbles_is_not_waited_for(port: int) -> None:
    """A byte now and then does not wind the clock up again, nor does an answered request."""
    async with _wire(port) as wire:
        await wire.send(BEGUN + b"\r\n")
        assert (await wire.answer()).status == 200
        began = asyncio.get_running_loop().time()
        await wire.send(BEGUN)
        ended = asyncio.create_task(wire.closed())
        while not ended.done():
            await wire.send(b"X")
            await asyncio.wait({ended}, timeout=0.05)
        assert 0.3 < asyncio.get_running_loop().time() - began < 5


async def test_a_kept_connection_may_rest(port: int) -> None:
    async with _wire(port) as wire:
        await wire.send(BEGUN + b"\r\n")
        assert (await wire.answer()).status == 200
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3 * Hasty.head_s):
                await wire.closed()
        await wire.send(BEGUN + b"\r\n")
        assert (await wire.answer()).status == 200
