"""The door to S3, watched: every request goes through it, and a rule says what becomes of each."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from urllib.parse import parse_qs, urlsplit

from app.embedded.store import EmbeddedStore

_HEAD_END = b"\r\n\r\n"
_PIECE = 1 << 16
_SILENT_S = 5.0


class Fate(Enum):
    SOUND = auto()
    REFUSED = auto()
    """500, and nothing was done."""
    FAILED_AFTERWARDS = auto()
    """500, although it was carried out."""
    RESET = auto()
    """The link breaks, and nothing was done."""
    ANSWER_LOST = auto()
    """The link breaks after it was carried out."""
    SILENT = auto()
    """No answer, until whoever asks has had enough."""
    ERROR_IN_200 = auto()
    """200, and an error in the body: as S3 may answer to what makes one object of parts."""


@dataclass(frozen=True)
class Call:
    """`number` counts from 1; `what` is put, start, part, complete, abort, size, read, delete."""

    number: int
    what: str
    head: bytes
    body: bytes

    @property
    def key(self) -> str:
        """Without its bucket."""
        return urlsplit(self.head.split(b" ", 2)[1].decode()).path.split("/", 2)[-1]

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines if line)
        return {name.lower(): value.strip() for name, _, value in pairs}


_SAID = {Fate.REFUSED, Fate.ERROR_IN_200}
_UNDONE = _SAID | {Fate.RESET, Fate.SILENT}
Rule = Callable[[Call], Fate]
Killing = Callable[[], Awaitable[None]]
Answering = Callable[[Call, bytes], bytes]
Changing = Callable[[Call], Call | bytes]


def sound(call: Call) -> Fate:
    del call
    return Fate.SOUND


def each(every: int, fate: Fate) -> Rule:
    """Every k-th call meets this fate."""
    return lambda call: fate if call.number % every == 0 else Fate.SOUND


def at(number: int, fate: Fate) -> Rule:
    """This call meets it, and so does its one repeat."""
    return lambda call: fate if number <= call.number <= number + 1 else Fate.SOUND


@dataclass
class StoreDoor:
    """Set `rule` at any time; `calls` is what came through."""

    url: str = ""
    rule: Rule = sound
    calls: list[Call] = field(default_factory=list)
    before: dict[int, Killing] = field(default_factory=dict)
    """What is done before the call of this number goes on; it then goes nowhere."""
    after: dict[int, Killing] = field(default_factory=dict)
    """What is done once the store has answered; nobody hears the answer."""
    asked: Changing | None = None
    """Another request in place of this one, or the answer to it."""
    answered: Answering | None = None
    """Another answer in place of this one."""
    delay_s: float = 0.0
    """Before each call goes on: a slow store."""
    _store: tuple[str, int] = ("", 0)

    @classmethod
    @asynccontextmanager
    async def opened(cls, store: EmbeddedStore) -> AsyncIterator["StoreDoor"]:
        parts = urlsplit(store.endpoint_url)
        assert parts.hostname is not None
        assert parts.port is not None
        door = cls(_store=(parts.hostname, parts.port))
        server = await asyncio.start_server(door._serve, "127.0.0.1", 0)
        async with server:
            door.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield door

    def starts_anew(self) -> None:
        """Counts from 1 again, and nothing happens."""
        self.rule = sound
        self.calls.clear()
        self.before.clear()
        self.after.clear()

    def of(self, *whats: str) -> Iterator[Call]:
        return (call for call in self.calls if call.what in whats)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the link may be used again."""
        call = await self._read(reader, writer)
        self.calls.append(call)
        await asyncio.sleep(self.delay_s)
        given = await self._met(call)
        if given is None:
            writer.transport.abort()
            return False
        writer.write(given)
        await writer.drain()
        return b"\r\nconnection: close" not in given.partition(_HEAD_END)[0].lower()

    async def _met(self, call: Call) -> bytes | None:
        """The answer; None: the link breaks."""
        fate = self.rule(call)
        if call.number in self.before:
            await self.before[call.number]()
            return None
        if fate in _UNDONE:
            return await self._undone(call, fate)
        given = await self._carried_out(call)
        if call.number in self.after:
            await self.after[call.number]()
            return None
        if fate is Fate.ANSWER_LOST:
            return None
        return _failed("500 Internal Server Error") if fate is Fate.FAILED_AFTERWARDS else given

    async def _undone(self, call: Call, fate: Fate) -> bytes | None:
        if fate is Fate.ERROR_IN_200 and call.what == "complete":
            return _failed("200 OK")
        if fate is Fate.SILENT:
            await asyncio.sleep(_SILENT_S)
        return _failed("500 Internal Server Error") if fate in _SAID else None

    async def _carried_out(self, call: Call) -> bytes:
        meant = self.asked(call) if self.asked else call
        given = meant if isinstance(meant, bytes) else await self._forwarded(meant)
        return self.answered(call, given) if self.answered else given

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Call:
        head = await reader.readuntil(_HEAD_END)
        call = Call(len(self.calls) + 1, _what(head), head, b"")
        if "100-continue" in call.headers.get("expect", ""):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return replace(
            call, body=await reader.readexactly(int(call.headers.get("content-length", 0)))
        )

    async def _forwarded(self, call: Call) -> bytes:
        """The store's whole answer, over a link of its own."""
        reader, writer = await asyncio.open_connection(*self._store)
        lines = call.head.removesuffix(_HEAD_END).split(b"\r\n")
        kept = [x for x in lines if not x.lower().startswith((b"expect:", b"connection:"))]
        writer.write(b"\r\n".join([*kept, b"Connection: close", b"", b""]) + call.body)
        try:
            return b"".join([piece async for piece in _pieces(reader)])
        finally:
            writer.close()


async def _pieces(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while piece := await reader.read(_PIECE):
        yield piece


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def _failed(status: str) -> bytes:
    return answer(
        status,
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InternalError</Code>'
        b"<Message>We encountered an internal error. Please try again.</Message></Error>",
    )


_PLAIN = {"PUT": "put", "HEAD": "size", "GET": "read", "DELETE": "delete", "POST": "post"}


def _what(head: bytes) -> str:
    method, target, _ = head.decode("latin-1").split(" ", 2)
    parts = urlsplit(target)
    asked = parse_qs(parts.query, keep_blank_values=True)
    if "uploads" in asked and method == "POST":
        return "start"
    if "uploadId" in asked:
        return {"PUT": "part", "POST": "complete", "DELETE": "abort"}.get(method, "parts")
    return _PLAIN[method] if parts.path.count("/") > 1 else "bucket"
