import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect
from structlog.testing import capture_logs

from app.core.asgi import Message, Scope
from app.core.db import Sessions
from app.core.errors import NotFound
from app.core.http import install_errors
from app.core.memory_store import MemoryStore
from app.core.metrics import Metrics
from app.core.middleware import RequestContext, request_id, traceparent
from app.core.resources import Resources
from app.core.settings import Settings
from app.core.wakeups import MemoryWakeups

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
router = APIRouter()
root = APIRouter()


@router.get("/state/{number}")
async def show_state(request: Request, number: int) -> dict[str, Any]:
    request.state.rate_limit = {"RateLimit": '"default";r=5;t=1'}
    bound = structlog.contextvars.get_contextvars()
    return {"number": number, "trace": request.scope["state"].get("traceparent"), "bound": bound}


@router.get("/own-headers")
async def show_own_headers() -> Response:
    own = {
        "Cache-Control": "private, no-cache",
        "Content-Security-Policy": "default-src 'self'",
        "X-Request-Id": "forged",
    }
    return Response("x", headers=own)


@router.get("/unchanged")
async def show_unchanged() -> Response:
    return Response(status_code=304)


@router.get("/bug")
async def fall_over() -> None:
    raise KeyError("张三 13800000000")


@router.get("/missing")
async def miss() -> None:
    raise NotFound


@router.post("/body")
async def take_body(body: dict[str, Any]) -> dict[str, Any]:
    return body


@router.post("/raw")
async def take_stream(request: Request) -> dict[str, int]:
    return {"bytes": sum([len(chunk) async for chunk in request.stream()])}


@root.get("/health/live")
async def live() -> dict[str, str]:
    return {}


async def unhandled(_scope: Scope, receive: Any, _send: Any) -> None:
    """A raw ASGI endpoint that lets the framework's exception through."""
    await receive()
    raise ClientDisconnect


async def half_an_answer(_scope: Scope, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise ValueError("张三")


@pytest.fixture
def resources(settings: Settings, sessions: Sessions) -> Resources:
    return Resources(settings, sessions, MemoryStore(), MemoryWakeups())


@pytest.fixture
def app(resources: Resources) -> FastAPI:
    app = FastAPI()
    app.state.resources = resources
    app.include_router(router, prefix="/v1")
    app.include_router(root)
    app.mount("/unhandled", unhandled)
    app.mount("/half", half_an_answer)
    install_errors(app)
    app.add_middleware(RequestContext)
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        yield client


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[Any]]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        yield lines
    structlog.configure(**before)


def _scope(path: str, method: str = "POST", headers: dict[str, str] | None = None) -> Scope:
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": raw,
        "client": ("127.0.0.1", 1),
        "server": ("t", 80),
    }


async def _talk(app: FastAPI, scope: Scope, *incoming: Message) -> list[Message]:
    """Send these ASGI messages, then the client's departure; returns the answer's messages."""
    queue = [*incoming, {"type": "http.disconnect"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return queue.pop(0) if len(queue) > 1 else queue[0]

    async def send(message: Message) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize(
    "offered", ["", "a" * 65, "a b", "a\tb", "a/b", "<script>", "é", "张", "a;b", "a\n"]
)
def test_h10_a_strange_request_id_is_replaced(offered: str) -> None:
    assert uuid.UUID(request_id(offered)).version == 7


@given(st.from_regex(r"\A[A-Za-z0-9._-]{1,64}\Z"))
def test_h10_a_plain_request_id_is_kept(offered: str) -> None:
    assert request_id(offered) == offered


@given(st.text())
def test_h10_any_answered_id_is_plain(offered: str) -> None:
    answered = request_id(offered)
    assert answered.isascii()
    assert 1 <= len(answered) <= 64
    assert "\n" not in answered


@pytest.mark.parametrize(
    "offered",
    [
        None,
        "",
        "garbage",
        TRACE.upper(),
        TRACE + "-more",
        "ff" + TRACE[2:],
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        TRACE[:-1],
        TRACE + "\n",
    ],
)
def test_h10_an_invalid_traceparent_is_ignored(offered: str | None) -> None:
    assert traceparent(offered) is None


def test_h10_a_valid_traceparent_is_kept() -> None:
    assert traceparent(TRACE) == TRACE
    assert traceparent("01" + TRACE[2:] + "-what-comes-later") is not None


async def test_h10_the_id_reaches_handler_logs_and_answer(
    client: httpx.AsyncClient, lines: list[Any]
) -> None:
    headers = {"X-Request-Id": "phone-7.a_B", "traceparent": TRACE}
    answer = await client.get("/v1/state/3", headers=headers)
    assert answer.headers["x-request-id"] == "phone-7.a_B"
    assert answer.json()["trace"] == TRACE
    assert answer.json()["bound"] == {"request_id": "phone-7.a_B", "trace_id": TRACE.split("-")[1]}
    assert lines[-1]["request_id"] == "phone-7.a_B"
    assert structlog.contextvars.get_contextvars() == {}


async def test_h10_two_ids_are_none(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/state/3", headers=[("X-Request-Id", "a"), ("X-Request-Id", "b")])
    assert answer.headers.get_list("x-request-id") != ["a"]
    assert len(answer.headers.get_list("x-request-id")) == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/bug", 500), ("/v1/missing", 404), ("/nowhere", 404), ("/v1/state/x", 422)],
)
async def test_h10_every_refusal_carries_the_id(
    client: httpx.AsyncClient, path: str, status: int
) -> None:
    answer = await client.get(path, headers={"X-Request-Id": "q"})
    assert answer.status_code == status
    assert answer.headers["x-request-id"] == "q"
    assert answer.json()["instance"] == "urn:request:q"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


async def test_h14_what_the_answer_says_itself_stands(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/own-headers", headers={"X-Request-Id": "q"})
    assert answer.headers.get_list("cache-control") == ["private, no-cache"]
    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert answer.headers.get_list("x-request-id") == ["q"]


async def test_h14_not_modified_leaves_the_caches_rule(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/unchanged")
    assert "cache-control" not in answer.headers


async def test_h8_rate_limit_fields_are_on_the_answer(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/state/3")).headers["ratelimit"] == '"default";r=5;t=1'


async def test_one_line_per_request_with_fixed_keys(
    client: httpx.AsyncClient, lines: list[Any]
) -> None:
    await client.get("/v1/state/3?name=张三")
    await client.get("/v1/missing")
    await client.get("/v1/nobody/张三")
    shown = [(line["route"], line["status"], line.get("code")) for line in lines]
    assert shown == [
        ("/v1/state/{number}", 200, None),
        ("/v1/missing", 404, "not-found"),
        ("unmatched", 404, "not-found"),
    ]
    known = {"event", "log_level", "method", "route", "status", "ms", "request_id", "code"}
    assert all(set(line) <= known for line in lines)
    assert "张三" not in json.dumps(lines, ensure_ascii=False)


async def test_probes_are_quiet(client: httpx.AsyncClient, lines: list[Any]) -> None:
    await client.get("/health/live")
    assert [line["log_level"] for line in lines] == ["debug"]


async def test_numbers_are_kept_by_template(
    client: httpx.AsyncClient, resources: Resources
) -> None:
    for path in ("/v1/state/1", "/v1/state/2", "/v1/missing", "/v1/bug"):
        await client.get(path)
    await client.request("BREW", "/v1/state/1")
    value = resources.the(Metrics).registry.get_sample_value
    labels = {"method": "GET", "route": "/v1/state/{number}", "status": "200"}
    assert value("http_requests_total", labels) == 2
    assert value("http_problems_total", {"code": "not-found"}) == 1
    assert value("http_problems_total", {"code": "internal-error"}) == 1
    assert value("http_requests_in_flight") == 0
    seconds = {"method": "GET", "route": "/v1/state/{number}"}
    assert value("http_request_seconds_count", seconds) == 2
    text = (await resources.the(Metrics).exposition()).decode()
    assert "BREW" not in text
    assert "/v1/state/1" not in text


async def test_a_bug_is_logged_once_and_answered(
    client: httpx.AsyncClient, lines: list[Any]
) -> None:
    answer = await client.get("/v1/bug")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal-error"
    assert [line["event"] for line in lines] == ["bug", "request"]


async def test_a_bug_in_mid_answer_ends_it(app: FastAPI, lines: list[Any]) -> None:
    sent = await _talk(app, _scope("/half/x", "GET"))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert [line["event"] for line in lines] == ["bug", "request"]


@pytest.mark.parametrize("path", ["/v1/body", "/v1/raw", "/unhandled/x"])
async def test_f7_a_client_that_left_is_one_line_and_a_count(
    app: FastAPI, resources: Resources, lines: list[Any], path: str
) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": "100"}
    half: Message = {"type": "http.request", "body": b'{"a": ', "more_body": True}
    await _talk(app, _scope(path, headers=headers), *([half] if "unhandled" not in path else []))
    assert [(line["event"], line["status"]) for line in lines] == [("client_left", 499)]
    counted = resources.the(Metrics).clients_left.collect()
    assert sum(s.value for m in counted for s in m.samples if s.name.endswith("_total")) == 1


async def test_a_bug_after_the_client_left_is_still_a_bug(app: FastAPI, lines: list[Any]) -> None:
    async def bug(_scope: Scope, receive: Any, _send: Any) -> None:
        await receive()
        raise ValueError("a real one")

    app.mount("/late", bug)
    await _talk(app, _scope("/late/x"))
    assert lines[0]["event"] == "bug"


async def test_other_protocols_pass_untouched(app: FastAPI) -> None:
    sent: list[Message] = []

    async def inner(scope: Scope, _receive: Any, send: Any) -> None:
        await send({"type": scope["type"]})

    async def send(message: Message) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    async def receive() -> Message:
        return await asyncio.sleep(0, {})

    await RequestContext(inner)({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan"}]
    assert app is not None
