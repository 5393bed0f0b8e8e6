"""The load: requests encoded beforehand, sent over kept connections by a process of its own.

A general HTTP client costs more CPU than the server under test. This one knows only what a
benchmark needs: HTTP/1.1, one request at a time a connection, answers with a Content-Length.
"""

import asyncio
import resource
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import cast

import uvloop

HOST = "127.0.0.1"
CONNECTIONS = 32
Request = Sequence[bytes]
"""Its pieces, written one after another; a photo of all requests is one object."""


@dataclass(frozen=True, slots=True)
class Load:
    """Requests of each port, and the one status that counts as done."""

    requests: dict[int, list[Request]]
    status: int
    connections: int = CONNECTIONS


@dataclass(slots=True)
class Outcome:
    """`seconds`: from the first request to the last answer. Latencies in seconds."""

    seconds: float = 0.0
    cpu_s: float = 0.0
    latencies: list[float] = field(default_factory=list)
    refused: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def done(self) -> int:
        return len(self.latencies)


def send(load: Load) -> Outcome:
    """Send every request once, in a fresh process; blocks until all are answered.

    Raises AssertionError when one was not answered as expected: its time means nothing.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        outcome = process.submit(_run, load).result()
    assert not outcome.refused, outcome.refused[0]
    return outcome


def encoded(
    method: str,
    target: str,
    host: str,
    headers: dict[str, str],
    body: Sequence[bytes] = (),
) -> Request:
    """A whole request as pieces."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {sum(map(len, body))}")
    head = "\r\n".join(lines) + "\r\n\r\n"
    return (head.encode("ascii"), *body)


def _run(load: Load) -> Outcome:
    return uvloop.run(_send_all(load))


async def _send_all(load: Load) -> Outcome:
    outcome = Outcome()
    share = load.connections // len(load.requests)
    connections = []
    for port, requests in load.requests.items():
        waiting = iter(requests)
        connections += [await _connected(port, waiting, load, outcome) for _ in range(share)]
    began, cpu = time.perf_counter(), _cpu()
    for connection in connections:
        connection.next()
    await asyncio.gather(*(connection.finished for connection in connections))
    outcome.seconds = time.perf_counter() - began
    outcome.cpu_s = _cpu() - cpu
    return outcome


async def _connected(
    port: int, waiting: Iterator[Request], load: Load, outcome: Outcome
) -> "_Connection":
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: _Connection(waiting, load.status, outcome), HOST, port
    )
    return connection


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class _Connection(asyncio.Protocol):
    """Takes the next waiting request whenever the last one was answered."""

    def __init__(self, waiting: Iterator[Request], status: int, outcome: Outcome) -> None:
        self._waiting, self._outcome = waiting, outcome
        self._wanted = f"HTTP/1.1 {status} ".encode()
        self._received = b""
        self._missing = 0
        self._sent_at = 0.0
        self._transport: asyncio.WriteTransport | None = None
        self.finished = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is none by class

    def next(self) -> None:
        assert self._transport is not None
        request = next(self._waiting, None)
        if request is None:
            self.finished.set_result(None)
            self._transport.close()
            return
        self._received, self._missing = b"", 0
        self._sent_at = time.perf_counter()
        self._transport.writelines(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._missing:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            self._missing = end + 4 + _length(self._received[:end])
        if len(self._received) >= self._missing:
            self._answered()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_exception(error or ConnectionResetError("closed by the server"))

    def _answered(self) -> None:
        self._outcome.latencies.append(time.perf_counter() - self._sent_at)
        if not self._received.startswith(self._wanted):
            self._outcome.refused.append((len(self._outcome.latencies), self._received[:2000]))
        self.next()


def _length(head: bytes) -> int:
    """Bytes of the body; an answer without the field has none."""
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0
