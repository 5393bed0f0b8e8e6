"""What the served socket is like."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.core.asgi import App, Receive, Scope, Send
from app.core.joined_writes import JoinedWritesProtocol
from app.serving import _listen


class _Accepted(asyncio.Protocol):
    def __init__(self) -> None:
        self.no_delay = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        accepted = transport.get_extra_info("socket")
        self.no_delay.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        transport.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_answer_does_not_wait_for_the_ack_of_its_own_header(host: str) -> None:
    """Header and body are two writes: with Nagle's delay every answer would take 40 ms more."""
    served, listening = _Accepted(), _listen(host, 0)
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: served, sock=listening):
        with socket.create_connection(listening.getsockname()[:2]):
            assert await served.no_delay


async def test_p10_a_reader_that_takes_nothing_is_felt_at_once() -> None:
    """A kernel would take 4 MB of an answer for somebody who never reads."""
    listening = _listen("127.0.0.1", 0)
    with socket.create_connection(listening.getsockname()[:2]):
        accepted, _ = await asyncio.get_running_loop().sock_accept(listening)
        taken = 0
        with accepted, contextlib.suppress(BlockingIOError):
            while taken < 2**22:
                taken += accepted.send(bytes(2**14))
    listening.close()
    assert taken < 2**20


class _Wire(asyncio.Transport):
    """Remembers what is handed to it at once."""

    def __init__(self) -> None:
        super().__init__()
        self.segments: list[bytes] = []
        self.closed = False
        self.changed = asyncio.Event()

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.segments.append(bytes(data))
        self.changed.set()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        self.closed = True
        self.changed.set()


async def _answer_in_pieces(_scope: Scope, _receive: Receive, send: Send) -> None:
    headers = [(b"content-length", b"11")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello ", "more_body": True})
    await asyncio.sleep(0.01)
    await send({"type": "http.response.body", "body": b"world"})


async def _answered(app: App, request: bytes, until: Callable[[_Wire], bool]) -> _Wire:
    config = uvicorn.Config(app, lifespan="off", log_config=None)
    config.load()
    protocol, wire = JoinedWritesProtocol(config, ServerState(), {}), _Wire()
    protocol.connection_made(wire)
    protocol.data_received(request)
    async with asyncio.timeout(5):
        while not until(wire):
            await wire.changed.wait()
            wire.changed.clear()
    return wire


async def test_head_and_body_leave_in_one_segment_and_what_comes_later_in_its_own() -> None:
    request = b"GET / HTTP/1.1\r\nHost: etong.test\r\n\r\n"
    wire = await _answered(_answer_in_pieces, request, lambda wire: len(wire.segments) > 1)
    first, second = wire.segments
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert first.endswith(b"\r\n\r\nhello ")
    assert second == b"world"
    assert not wire.closed


async def test_a_connection_is_closed_after_its_last_bytes() -> None:
    request = b"GET / HTTP/1.1\r\nHost: etong.test\r\nConnection: close\r\n\r\n"
    wire = await _answered(_answer_in_pieces, request, lambda wire: wire.closed)
    assert wire.segments[-1] == b"world"


async def test_a_long_answer_is_handed_on_as_it_comes() -> None:
    """The transport must know how much is waiting, or nothing slows the writer down."""

    async def long(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", str(8 * 65536).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in range(8):
            await send(
                {"type": "http.response.body", "body": bytes(65536), "more_body": number < 7}
            )

    request = b"GET / HTTP/1.1\r\nHost: etong.test\r\n\r\n"
    wire = await _answered(long, request, lambda wire: sum(map(len, wire.segments)) > 8 * 65536)
    assert len(wire.segments) >= 8
