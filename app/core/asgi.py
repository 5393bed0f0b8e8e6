"""Plain ASGI: the words of the protocol, headers, and a refusal sent without a framework."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from app.core.errors import PROBLEM_JSON, Problem, language_asked

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Continuing = Callable[[Receive, Send], Awaitable[None]]

DISCONNECT = "http.disconnect"
REQUEST = "http.request"
START = "http.response.start"
ABORT = "etong.abort"
"""An extension of the server: ends the connection without waiting for who does not read."""
_CONTINUES = "continues"
BODY = "http.response.body"


def header_of(scope: Scope, name: bytes) -> str | None:
    """The header's value; None when it is absent or was sent several times."""
    found = [value for key, value in scope["headers"] if key.lower() == name]
    return found[0].decode("latin-1") if len(found) == 1 else None


def state_of(scope: Scope) -> dict[str, Any]:
    """What this request carries from layer to layer."""
    state: dict[str, Any] = scope.setdefault("state", {})
    return state


def abort_of(scope: Scope) -> Callable[[], None]:
    """Ends the connection at once; does nothing where the server can't."""
    extension: dict[str, Callable[[], None]] = scope.get("extensions", {}).get(ABORT, {})
    return extension.get("abort", _nothing)


def _nothing() -> None:
    pass


def continue_with(scope: Scope, answer: Continuing) -> None:
    """Leave an answer that takes minutes to be given when the route has returned (`go_on`)."""
    state_of(scope)[_CONTINUES] = answer


async def go_on(scope: Scope, receive: Receive, send: Send) -> None:
    """Give the answer that a route has only prepared, now that the layers around it have returned.

    A stream that is open for minutes would else keep every one of their frames in memory.
    """
    prepared: Continuing | None = state_of(scope).pop(_CONTINUES, None)
    if prepared is not None:
        await prepared(receive, send)


async def refuse(scope: Scope, send: Send, problem: Problem, *, more_body: bool = False) -> None:
    """Answer with a problem document. `more_body` leaves the exchange open to drain the sender."""
    state_of(scope)["problem_code"] = problem.code
    language = language_asked(header_of(scope, b"accept-language") or "")
    body = problem.document(language, str(state_of(scope).get("request_id", "")))
    headers = {
        "Content-Type": PROBLEM_JSON,
        "Content-Length": str(len(body)),
        "Content-Language": language,
        **problem.headers,
    }
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": START, "status": problem.status, "headers": raw})
    await send({"type": BODY, "body": body, "more_body": more_body})
