"""A request's head comes whole, within a time and a size, or its connection ends.

The server's parser gathers headers without end and waits for them without end; a body has limits
of its own (`app.core.bodies`).
"""

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.core.db import new_id
from app.core.errors import PROBLEM_JSON, HeaderTooLarge

_LINGER_S = 1.0


class HeadLimits(HttpToolsProtocol):
    """uvicorn's protocol with a patience for heads."""

    head_bytes: ClassVar[int] = 64 * 1024
    head_s: ClassVar[float] = 60.0
    """From the first byte to the last of them; from the connection where none comes at all."""

    _waiting: asyncio.TimerHandle | None = None
    """Runs while a head is not complete."""
    _came = _listed = 0
    """Bytes that came for a head that is not complete; bytes of its complete headers."""
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._wait(self.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        if self._waiting is not None and not self._refused:
            self._came += len(data)
            if self._came > self.head_bytes:
                self._refuse()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._came = self._listed = 0
        self._wait(self.head_s)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._listed += len(name) + len(value)
        if self._listed > self.head_bytes:
            raise ValueError  # the parser makes an error of it, and that a refusal
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        if self._listed > self.head_bytes:
            self._refuse()
        else:
            super().send_400_response(msg)

    def _refuse(self) -> None:
        self._refused = True
        problem = HeaderTooLarge(limit=self.head_bytes)
        body = problem.document("zh-CN", str(new_id()))
        head = (
            f"HTTP/1.1 {problem.status} Request Header Fields Too Large\r\n"
            f"content-type: {PROBLEM_JSON}\r\ncontent-length: {len(body)}\r\n"
            "cache-control: no-store\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        # closing on a sender in mid-sentence resets the link and the answer with it
        self._wait(_LINGER_S)

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._waiting = self.loop.call_later(seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        self.transport.close()
