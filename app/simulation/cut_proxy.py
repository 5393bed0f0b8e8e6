"""A TCP proxy on loopback that does to a connection what valleys, gateways and radios do.

It cuts after a byte, dribbles, swallows answers and sends requests twice; which, a plan says for
each connection.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from app.simulation.loopback import loopback

_CHUNK = 64 * 1024
_LINGER_S = 3.0
"""How long the second copy of a request may wait for its answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one connection; the default is nothing."""

    cut_request_after: int | None = None
    """So many bytes reach the server, then both sides find the link gone."""
    cut_answer_after: int | None = None
    """So many bytes reach the client; 0 swallows an answer that the server did give."""
    piece: int = _CHUNK
    pause_s: float = 0.0
    """Between pieces, both ways: a dribbling link."""
    copies: int = 1
    """How often the request goes out, each time on a connection of its own."""


Plan = Callable[[int], Fault]
"""The number of a connection, from 0 on, to its fault."""

SOUND = Fault()


def always(fault: Fault) -> Plan:
    return lambda _: fault


def one_in(share: float, seed: int) -> Plan:
    """A random fault for this share of the connections; the same seed, the same faults."""
    source = random.Random(seed)  # noqa: S311 - a fault plan, not a secret

    def fault(_: int) -> Fault:
        if source.random() >= share:
            return SOUND
        return source.choice(
            (
                Fault(cut_request_after=source.randrange(4000)),
                Fault(cut_answer_after=0),
                Fault(cut_answer_after=source.randrange(1200)),
                Fault(piece=256, pause_s=0.01),
                Fault(copies=2),
            )
        )

    return fault


class CutProxy:
    """`async with CutProxy(url, plan) as proxy: … proxy.url`; `plan` may be replaced meanwhile."""

    def __init__(self, target: str, plan: Plan) -> None:
        """Raises NotLoopback."""
        self._target = loopback(target)
        self.plan = plan
        self.cuts = 0
        self.answered = 0
        """Bytes of answers that have passed."""
        self._answers_left: int | None = None
        self._count = itertools.count()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        if self._server is None:
            raise RuntimeError("the proxy is not open")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut_answers_after(self, count: int | None) -> None:
        """So many more bytes of answers, of all connections together, then each is cut.

        For connections that are kept for long; None mends the link for those that come.
        """
        self._answers_left = count

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer, self.plan(next(self._count))))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault
    ) -> None:
        upstreams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        try:
            for _ in range(fault.copies):
                pair = await asyncio.open_connection(self._target.host, self._target.port)
                upstreams.append(pair)
            with suppress(OSError):
                await self._pass_on(reader, writer, upstreams, fault)
        except OSError:  # the server is down: the client sees its link end
            self.cuts += 1
        finally:
            for _, upstream in upstreams:
                upstream.close()
            writer.close()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstreams: Sequence[tuple[asyncio.StreamReader, asyncio.StreamWriter]],
        fault: Fault,
    ) -> None:
        servers = [upstream for _, upstream in upstreams]
        up = asyncio.create_task(self._request(reader, servers, fault))
        down = asyncio.create_task(self._answer(upstreams[0][0], writer, fault))
        spare = [asyncio.create_task(_forget(answer)) for answer, _ in upstreams[1:]]
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if spare:
                await asyncio.wait(spare, timeout=_LINGER_S)
        finally:
            for task in (up, down, *spare):
                task.cancel()
            await asyncio.gather(up, down, *spare, return_exceptions=True)

    async def _request(
        self,
        client: asyncio.StreamReader,
        servers: Sequence[asyncio.StreamWriter],
        fault: Fault,
    ) -> None:
        """Ends where the client ends, or where the cut falls."""
        left = fault.cut_request_after
        while chunk := await client.read(fault.piece):
            passed = chunk[:left]
            for server in servers:
                server.write(passed)
                await server.drain()
            if left is not None and (left := left - len(passed)) == 0:
                self.cuts += 1
                return
            await asyncio.sleep(fault.pause_s)

    async def _answer(
        self, server: asyncio.StreamReader, client: asyncio.StreamWriter, fault: Fault
    ) -> None:
        """Ends where the server ends, or where the cut falls; what is swallowed was given."""
        left = fault.cut_answer_after
        while chunk := await server.read(fault.piece):
            passed = self._allowed(chunk[:left])
            client.write(passed)
            await client.drain()
            if left is not None:
                left -= len(passed)
            if left == 0 or len(passed) < len(chunk):
                self.cuts += 1
                return
            await asyncio.sleep(fault.pause_s)

    def _allowed(self, chunk: bytes) -> bytes:
        passed = chunk[: self._answers_left]
        self.answered += len(passed)
        if self._answers_left is not None:
            self._answers_left -= len(passed)
        return passed


async def _forget(answer: asyncio.StreamReader) -> None:
    while await answer.read(_CHUNK):
        continue
