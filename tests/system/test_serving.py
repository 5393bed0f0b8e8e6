"""What the served socket is like."""

import asyncio
import socket

import pytest

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
