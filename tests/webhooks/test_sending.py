"""W5, W12: a call is bounded in time and size, and goes where it was checked to go."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from app.webhooks.sending import KEPT_BYTES, READ_BYTES, HttpSender
from tests.webhooks.certificates import self_signed

LOOPBACK = (ip_network("127.0.0.0/8"),)
Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(answering: Answering, **tls: Any) -> AsyncIterator[int]:
    """A platform's server on loopback; its port."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answering(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0, **tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def saying(head: str, body: bytes = b"") -> tuple[list[bytes], Answering]:
    """Answers every request so; keeps what it was asked."""
    asked: list[bytes] = []

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        length = int(request.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        asked.append(request + await reader.readexactly(length))
        lines = f"HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(lines.encode() + body)
        await writer.drain()

    return asked, answering


@pytest.fixture
async def sender() -> AsyncIterator[HttpSender]:
    sender = HttpSender(LOOPBACK, answer_s=0.5, connect_s=0.5)
    yield sender
    await sender.close()


async def test_w12_a_private_address_is_not_called() -> None:
    strict = HttpSender()
    asked, answering = saying("200 OK")
    async with listening(answering) as port:
        outcome = await strict.send(f"https://127.0.0.1:{port}/", {}, b"{}")
    await strict.close()
    assert (outcome.status, outcome.error) == (None, "refused-address")
    assert asked == []


async def test_w5_a_redirect_is_not_followed(sender: HttpSender) -> None:
    elsewhere, elsewhere_answering = saying("200 OK")
    async with listening(elsewhere_answering) as other:
        for target in (f"http://127.0.0.1:{other}/", "http://169.254.169.254/latest/meta-data"):
            asked, answering = saying(f"302 Found\r\nLocation: {target}")
            async with listening(answering) as port:
                outcome = await sender.send(f"http://127.0.0.1:{port}/", {}, b"{}")
            assert (outcome.status, outcome.delivered, len(asked)) == (302, False, 1)
    assert elsewhere == []


@pytest.mark.parametrize(
    ("code", "delivered"),
    [(200, True), (204, True), (299, True), (300, False), (404, False)],
)
async def test_w5_only_2xx_is_success(sender: HttpSender, code: int, delivered: bool) -> None:  # noqa: FBT001 - a parametrized fact
    _, answering = saying(f"{code} Word")
    async with listening(answering) as port:
        outcome = await sender.send(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert (outcome.status, outcome.delivered) == (code, delivered)


async def test_w5_silence_ends_after_the_deadline(sender: HttpSender) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(silent) as port:
        outcome = await sender.send(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert (outcome.status, outcome.error) == (None, "timeout")
    assert 400 <= outcome.latency_ms < 5000


async def test_w5_dribbling_ends_after_the_deadline_too(sender: HttpSender) -> None:
    async def dribbling(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        for _turn in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with listening(dribbling) as port:
        outcome = await sender.send(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert outcome.error == "timeout"


async def test_w5_of_a_hundred_megabytes_64_kib_are_read_and_4_kept(sender: HttpSender) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
        for _ in range(1600):
            writer.write("汉".encode() * 21_845)
            await writer.drain()
            sent += 65_535

    async with listening(endless) as port:
        outcome = await sender.send(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert outcome.delivered
    assert outcome.response is not None
    assert len(outcome.response.encode()) <= KEPT_BYTES + 3
    assert sent < 100 * READ_BYTES


@pytest.mark.parametrize(
    "garbage", [b"", b"\0\0\0\0", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nA"]
)
async def test_w5_garbage_and_resets_are_failures_with_a_name(
    sender: HttpSender, garbage: bytes
) -> None:
    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(garbage)
        await writer.drain()

    async with listening(answering) as port:
        outcome = await sender.send(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert outcome.status is None
    assert outcome.error in {"RemoteProtocolError", "ReadError"}


async def test_w5_nobody_listening(sender: HttpSender) -> None:
    async with listening(saying("200 OK")[1]) as port:
        pass
    outcome = await sender.send(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert (outcome.status, outcome.error) == (None, "ConnectError")


@pytest.mark.parametrize(
    ("said", "seconds"), [("120", 120), ("999999999", 86_400), ("soon", None), ("-5", None)]
)
async def test_w4_retry_after_is_read(sender: HttpSender, said: str, seconds: int | None) -> None:
    _, answering = saying(f"503 Busy\r\nRetry-After: {said}")
    async with listening(answering) as port:
        outcome = await sender.send(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert outcome.retry_after_s == seconds


async def test_w1_bytes_and_headers_arrive_as_given(sender: HttpSender) -> None:
    asked, answering = saying("200 OK", "好".encode())
    body = '{"楼道":"杂物"}'.encode()
    async with listening(answering) as port:
        outcome = await sender.send(
            f"http://127.0.0.1:{port}/挂钩?a=1", {"webhook-id": "1", "Content-Type": "x"}, body
        )
        assert outcome.response == "好"
        head, _, came = asked[0].partition(b"\r\n\r\n")
        assert came == body
        assert f"host: 127.0.0.1:{port}".encode() in head.lower()
        assert b"webhook-id: 1" in head.lower()


async def test_w12_the_checked_address_is_called_under_the_name_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS: the name is announced and verified, the address is the one that was checked."""
    certificate, key = self_signed("platform.example", tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    announced: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: announced.append(name)
    looked_up: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        looked_up.append(host)
        # a second look would get another answer
        return [(2, 1, 6, "", ("127.0.0.1" if len(looked_up) == 1 else "10.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)
    trusting = ssl.create_default_context(cafile=str(certificate))
    sender = HttpSender(LOOPBACK, verify=trusting)
    asked, answering = saying("200 OK")
    async with listening(answering, ssl=server) as port:
        outcome = await sender.send(f"https://platform.example:{port}/hook", {}, b"{}")
        wrong = await sender.send(f"https://other.example:{port}/hook", {}, b"{}")
    await sender.close()
    assert outcome.status == 200, outcome
    assert announced[0] == "platform.example"
    assert f"host: platform.example:{port}".encode() in asked[0].lower()
    assert looked_up == ["platform.example", "other.example"]
    assert wrong.error == "refused-address"
    assert len(asked) == 1
