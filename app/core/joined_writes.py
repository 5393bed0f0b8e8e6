"""Head and body of an answer leave together: one segment over the valley's link, one system call.

uvicorn writes them one after the other, which with Nagle's delay off makes two of each.
"""

import asyncio
from typing import Any, cast

from app.core.asgi import ABORT
from app.core.last_bytes import LastBytes

_ENOUGH = 64 * 1024


class JoinedWritesProtocol(LastBytes):
    """uvicorn's protocol on a transport that joins what is written in one turn of the loop."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        joined = _Joined(cast("asyncio.Transport", transport), self.loop)
        super().connection_made(cast("asyncio.Transport", joined))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # a reader that takes nothing more can't be said goodbye to: closing would wait for it
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}


class _Joined:
    """Everything but writing and closing is the transport's own."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the transport has
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self._flush)
        self._written.append(data)
        self._size += len(data)
        if self._size >= _ENOUGH:  # the transport must know, or it can't slow the writer down
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if not self._written:
            return
        written, self._written, self._size = self._written, [], 0
        self._transport.writelines(written)
