"""Around every request: its id, its trace, default headers, one log line, its numbers, its bugs.

Plain ASGI, outermost of the application's own layers. It reads the process's metrics from
`scope["app"].state.resources`, where `main` keeps them.
"""

import re
from time import perf_counter
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

from app.core.asgi import (
    BODY,
    DISCONNECT,
    START,
    App,
    Message,
    Receive,
    Scope,
    Send,
    go_on,
    header_of,
    refuse,
    state_of,
)
from app.core.db import new_id
from app.core.errors import InternalError
from app.core.metrics import Metrics

CLIENT_LEFT = 499
"""Counted and logged, never sent: nobody is there to read it."""
NOT_MODIFIED = 304
UNMATCHED = "unmatched"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})
"""Asked every few seconds by machines: their lines appear at debug level only."""
_DEFAULT_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)

log = structlog.get_logger()


class RequestContext:
    """`app.add_middleware(RequestContext)`, added last, so that it stands outside the others."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        with bound_contextvars(**exchange.names):
            await exchange.run(self._app)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._metrics: Metrics = scope["app"].state.resources.the(Metrics)
        self._status: int | None = None
        self._finished = False
        self._left = False
        self._id = request_id(header_of(scope, b"x-request-id"))
        state = state_of(scope)
        state["request_id"] = self._id
        self.names = {"request_id": self._id}
        trace = traceparent(header_of(scope, b"traceparent"))
        if trace is not None:
            state["traceparent"] = trace
            self.names["trace_id"] = trace.split("-")[1]

    async def run(self, app: App) -> None:
        began = perf_counter()
        with self._metrics.in_flight.track_inprogress():
            try:
                await app(self._scope, self._receive_watched, self._send_completed)
                await go_on(self._scope, self._receive_watched, self._send_completed)
            except Exception as bug:  # noqa: BLE001 - the last layer that can still answer
                await self._answer_bug(bug)
            finally:
                self._record(perf_counter() - began)

    async def _receive_watched(self) -> Message:
        message = await self._receive()
        if message["type"] == DISCONNECT and not self._finished:
            self._left = True
        return message

    async def _send_completed(self, message: Message) -> None:
        if message["type"] == START:
            # an answer into the void is not an answer: the client left while still sending
            self._status = CLIENT_LEFT if self._left else message["status"]
            message = {**message, "headers": self._headers(message)}
        elif message["type"] == BODY and not message.get("more_body", False):
            self._finished = True
        await self._send(message)

    def _headers(self, message: Message) -> list[tuple[bytes, bytes]]:
        sent = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"x-request-id"]
        fields: dict[str, str] = state_of(self._scope).get("rate_limit", {})
        sent += [(name.lower().encode(), value.encode()) for name, value in fields.items()]
        present = {name.lower() for name, _ in sent}
        if message["status"] == NOT_MODIFIED:  # it would overwrite what the cache was told
            present.add(b"cache-control")
        defaults = [pair for pair in _DEFAULT_HEADERS if pair[0] not in present]
        return [*sent, *defaults, (b"x-request-id", self._id.encode())]

    async def _answer_bug(self, bug: Exception) -> None:
        if self._left and _is_departure(bug):
            return
        log.error("bug", exc_info=bug, route=route_template(self._scope))
        if self._status is None:
            await refuse(self._scope, self._send_completed, InternalError())

    def _record(self, seconds: float) -> None:
        route, method = route_template(self._scope), self._scope["method"]
        gone = self._left and (self._status in {None, CLIENT_LEFT} or not self._finished)
        status = self._status or (CLIENT_LEFT if gone else 500)
        self._metrics.observe(method, route, status, seconds)
        facts = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
        if gone:
            self._metrics.clients_left.labels(route).inc()
            log.info("client_left", **facts)
            return
        self._log_answer(facts)

    def _log_answer(self, facts: dict[str, Any]) -> None:
        code = state_of(self._scope).get("problem_code")
        if code is not None:
            self._metrics.problems.labels(code).inc()
            facts["code"] = code
        if facts["route"] in _QUIET:
            log.debug("request", **facts)
        else:
            log.info("request", **facts)


def request_id(offered: str | None) -> str:
    """The client's id when it is a plain one, else a new UUIDv7."""
    if offered is not None and _REQUEST_ID.fullmatch(offered):
        return offered
    return str(new_id())


def traceparent(offered: str | None) -> str | None:
    """The header if it is a valid one, else None. Source: W3C Trace Context §3.2."""
    found = _TRACEPARENT.fullmatch(offered or "")
    if found is None:
        return None
    version, trace, parent, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace, 16) or not int(parent, 16):
        return None
    return offered


def route_template(scope: Scope) -> str:
    """`/v1/incidents/{id}`: the path with its prefixes, as declared; never what was typed."""
    context = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    return getattr(context, "path_format", None) or UNMATCHED


def _is_departure(bug: BaseException | None) -> bool:
    """Whether the framework's word for "the client has gone" is at the root (known by name)."""
    while bug is not None:
        if type(bug).__name__ == "ClientDisconnect":
            return True
        bug = bug.__cause__
    return False
