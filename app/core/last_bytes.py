"""What has arrived before a client left is handed on before its leaving is told.

The server's own word for a lost connection overtakes bytes of the body that nobody has taken yet,
and a phone in a valley would send those again.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from app.core.asgi import DISCONNECT, REQUEST, Message, Receive
from app.core.head_limits import HeadLimits

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class LastBytes(HeadLimits):
    """uvicorn's protocol, with a patience for bodies that ended too early."""

    def on_headers_complete(self) -> None:
        before = self.cycle
        super().on_headers_complete()
        cycle: Any = self.cycle
        if cycle is not None and cycle is not before:
            # the application is given its `receive` when its task begins to run, after this
            cycle.receive = partial(_receive, cycle, cycle.receive)


async def _receive(cycle: "RequestResponseCycle", receive: Receive) -> Message:
    if not cycle.disconnected:
        message = await receive()
        if message["type"] != DISCONNECT:
            return message
    if not cycle.body or cycle.response_complete:
        return {"type": DISCONNECT}
    body, cycle.body = bytes(cycle.body), bytearray()
    return {"type": REQUEST, "body": body, "more_body": cycle.more_body}
