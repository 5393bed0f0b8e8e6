"""A platform that receives webhooks, well or badly, and keeps a ledger of what it verified."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import orjson

from app.core.clock import Clock, SystemClock
from app.simulation.ledger import LedgerFile
from app.webhooks.signing import SignatureInvalid, verify

Mode = Literal["ok", "500", "slow", "hang", "big", "redirect", "reset", "lies"]
MODES: tuple[Mode, ...] = get_args(Mode)
_HEAD_BYTES = 16 * 1024
_BODY_BYTES = 64 * 1024
_SLOW_S = 5.0
_HANG_S = 60.0
_BIG_BYTES = 100 * 1024 * 1024
_REASONS = {200: "OK", 302: "Found", 401: "Unauthorized", 500: "Internal Server Error"}


@dataclass(frozen=True, slots=True)
class Heard:
    """One call whose signature was right."""

    webhook_id: str
    message: Mapping[str, Any]


@dataclass
class Receiver:
    """Listens on loopback only; a call waits until somebody has said which secret to expect."""

    mode: Mode = "ok"
    ledger: LedgerFile | None = None
    tell: Callable[[Heard], None] = lambda _: None
    clock: Clock = field(default_factory=SystemClock)
    heard: list[Heard] = field(default_factory=list)
    refused: int = 0
    port: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with every message that was verified."""
    _secret: "asyncio.Future[str]" = field(init=False)
    _serving: "set[asyncio.Task[None]]" = field(default_factory=set)

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator["Receiver"]:
        self._secret = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(self._accept, "127.0.0.1", port, limit=_HEAD_BYTES)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
            # kept connections would be cancelled with the loop, which asyncio reports as bugs
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    def expect(self, secret: str) -> None:
        self._secret.set_result(secret)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="receiver")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while await self._one(reader, writer):
                    pass
        finally:
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request of a kept connection; False where it should not be kept."""
        head = await reader.readuntil(b"\r\n\r\n")
        headers = _headers(head)
        length = int(headers.get("content-length", "0"))
        if length > _BODY_BYTES:
            return False
        body = await reader.readexactly(length)
        if self.mode == "reset":
            writer.transport.abort()
            return False
        status = await self._judged(headers, body)
        await self._answer(writer, status)
        return self.mode not in {"hang", "big"}

    async def _judged(self, headers: Mapping[str, str], body: bytes) -> int:
        secret = await asyncio.shield(self._secret)
        try:
            webhook_id = verify([secret], headers, body, self.clock.now())
        except SignatureInvalid:
            self.refused += 1
            return 401
        heard = Heard(webhook_id, orjson.loads(body))
        if self.mode in {"ok", "slow", "big"}:
            self.heard.append(heard)
            self.news.set()
            self.tell(heard)
            if self.ledger is not None:
                self.ledger.delivery(webhook_id, heard.message)
        # one that lies says yes and keeps nothing
        return {"500": 500, "redirect": 302}.get(self.mode, 200)

    async def _answer(self, writer: asyncio.StreamWriter, status: int) -> None:
        if self.mode in {"slow", "hang"}:
            await asyncio.sleep(_SLOW_S if self.mode == "slow" else _HANG_S)
        length = _BIG_BYTES if self.mode == "big" else 0
        lines = [f"HTTP/1.1 {status} {_REASONS[status]}", f"Content-Length: {length}"]
        if status == 302:  # noqa: PLR2004 - named above
            lines.append("Location: http://169.254.169.254/")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await writer.drain()
        for _ in range(length // _BODY_BYTES):
            writer.write(bytes(_BODY_BYTES))
            await writer.drain()


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
