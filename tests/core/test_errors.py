import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Path, Query, Request
from pydantic import Field
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.core import errors
from app.core.db import Sessions, make_engine
from app.core.errors import PROBLEM_JSON, Problem
from app.core.fields import Command, Line
from app.core.http import Reading, Transaction, install_errors, problems
from app.core.memory_store import MemoryStore
from app.core.resources import Resources
from app.core.settings import Settings
from app.core.validation import explain
from app.core.wakeups import MemoryWakeups


class ShelfFull(
    Problem,
    status=409,
    code="shelf-full",
    zh="书架已满，最多 {most} 本",
    en="The shelf is full: {most} books at most",
): ...


class Book(Command):
    title: Line
    pages: Annotated[int, Field(ge=1, le=5000)] = 1
    tags: list[Line] = Field(default=[], max_length=2)


router = APIRouter()


@router.post("/books")
async def add_book(book: Book) -> dict[str, str]:
    return {"title": book.title}


@router.get("/books/{number}")
async def show_book(
    number: Annotated[int, Path(ge=1)], limit: Annotated[int, Query(le=10)] = 1
) -> dict[str, int]:
    return {"number": number, "limit": limit}


@router.get("/full")
async def refuse_full() -> None:
    raise ShelfFull(most=3, status=200, code="mine", headers={"Retry-After": "7"})


@router.get("/framework/{status}")
async def refuse_as_framework(status: int) -> None:
    raise HTTPException(status, "said by a framework", headers={"X-Why": "because"})


@router.get("/bug")
async def fall_over() -> None:
    raise KeyError("张三 13800000000")


@router.get("/gone")
async def lose_client() -> None:
    raise ClientDisconnect


@router.get("/locked")
async def meet_lost_connection(session: Reading) -> None:
    await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


@router.get("/wrong")
async def ask_nonsense(session: Reading) -> None:
    await session.execute(text("SELECT * FROM no_such_table"))


@router.post("/stored")
async def store(session: Transaction, request: Request) -> dict[str, str]:
    await session.execute(text("SELECT 1"))

    async def lost() -> None:
        raise OperationalError("COMMIT", {}, ConnectionError("the link broke"))

    if request.query_params.get("lost"):
        session.commit = lost  # type: ignore[method-assign]  # a door: the network
    return {"stored": "yes"}


def _app(settings: Settings, sessions: Sessions) -> FastAPI:
    app = FastAPI()
    app.state.resources = Resources(settings, sessions, MemoryStore(), MemoryWakeups())
    install_errors(app)
    app.include_router(router)
    return app


@pytest.fixture
async def client(settings: Settings, sessions: Sessions) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(_app(settings, sessions), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        yield client


def _problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM_JSON
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"/problems/{code}"
    assert body["instance"].startswith("urn:request:")
    assert body["title"]
    assert body["detail"]
    return body


async def _post(client: httpx.AsyncClient, body: bytes) -> httpx.Response:
    return await client.post("/books", content=body, headers={"Content-Type": "application/json"})


def test_a_code_belongs_to_one_class() -> None:
    with pytest.raises(TypeError, match="shelf-full"):
        type("Other", (Problem,), {}, status=400, code="shelf-full", zh="", en="")


def test_a_class_without_status_is_refused() -> None:
    with pytest.raises(TypeError):
        type("Nameless", (Problem,), {})


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "cut"),
        (b'{"title": "\xff\xfe"}', "no UTF-8"),
        (b"[" * 100_000, "endless nesting"),
        (b'{"title": "a", "pages": ' + b"9" * 5000 + b"}", "an absurd number"),
    ],
)
async def test_h1_malformed_json(client: httpx.AsyncClient, body: bytes, why: str) -> None:
    assert why
    _problem(await _post(client, body), 400, "malformed-json")


async def test_h1_validation_names_every_field(client: httpx.AsyncClient) -> None:
    answer = await client.post("/books", json={"pages": 0, "tags": ["a", ""], "a/b~c": 1})
    body = _problem(answer, 422, "validation-failed")
    found = {error["pointer"]: (error["code"], error["message"]) for error in body["errors"]}
    assert found == {
        "/title": ("missing", "缺少必填项"),
        "/pages": ("greater-than-equal", "不能小于 1"),
        "/tags/1": ("string-too-short", "内容过短，至少 1 个字符"),
        "/a~1b~0c": ("extra-forbidden", "不认识的字段"),
    }
    assert "detail" not in [error["code"] for error in body["errors"]]


async def test_h1_parameters_name_their_source(client: httpx.AsyncClient) -> None:
    body = _problem(await client.get("/books/0?limit=11"), 422, "validation-failed")
    assert {error["pointer"] for error in body["errors"]} == {"path:/number", "query:/limit"}


async def test_h1_a_missing_body_is_named(client: httpx.AsyncClient) -> None:
    body = _problem(await client.post("/books"), 422, "validation-failed")
    assert body["errors"] == [{"pointer": "", "code": "missing", "message": "缺少必填项"}]


async def test_h1_half_a_surrogate_pair_is_the_senders_mistake(client: httpx.AsyncClient) -> None:
    assert (await _post(client, b'{"title": "\\ud800"}')).status_code == 422
    body = _problem(await _post(client, b'{"title": "a", "\\ud800": 1}'), 422, "validation-failed")
    assert body["errors"][0]["code"] in {"string-unicode", "extra-forbidden"}


async def test_a_megabyte_of_mistakes_gets_a_small_answer(client: httpx.AsyncClient) -> None:
    mistakes = {f"field-{i}": i for i in range(20_000)} | {"k" * 100_000: 1}
    answer = await _post(client, json.dumps(mistakes).encode())
    body = _problem(answer, 422, "validation-failed")
    assert len(body["errors"]) == 50
    assert len(answer.content) < 20_000


async def test_the_value_sent_is_never_repeated(client: httpx.AsyncClient) -> None:
    answer = await client.post("/books", json={"title": "a", "pages": "13800000000x"})
    assert "13800000000" not in answer.text


async def test_h15_english_where_asked_for_first(client: httpx.AsyncClient) -> None:
    for asked, language, start in [
        ("en", "en", "The shelf"),
        ("en-GB,en;q=0.9,zh;q=0.1", "en", "The shelf"),
        ("zh-CN,en;q=0.5", "zh-CN", "书架"),
        ("fr", "zh-CN", "书架"),
        ("", "zh-CN", "书架"),
    ]:
        answer = await client.get("/full", headers={"Accept-Language": asked})
        assert answer.headers["content-language"] == language
        assert answer.json()["detail"].startswith(start)
    english = await client.post("/books", json={}, headers={"Accept-Language": "en"})
    assert english.json()["errors"][0]["message"] == "Field required"


async def test_members_never_override_the_standard_ones(client: httpx.AsyncClient) -> None:
    answer = await client.get("/full")
    body = _problem(answer, 409, "shelf-full")
    assert body["most"] == 3
    assert body["detail"] == "书架已满，最多 3 本"
    assert answer.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "bad-request"),
        (401, "unauthenticated"),
        (403, "forbidden"),
        (404, "not-found"),
        (405, "method-not-allowed"),
        (406, "bad-request"),
        (413, "payload-too-large"),
        (415, "unsupported-media-type"),
        (416, "bad-request"),
        (429, "too-many-requests"),
        (503, "unavailable"),
    ],
)
async def test_h1_framework_refusals_keep_their_status(
    client: httpx.AsyncClient, status: int, code: str
) -> None:
    answer = await client.get(f"/framework/{status}")
    _problem(answer, status, code)
    assert answer.headers["x-why"] == "because"
    assert "said by a framework" not in answer.text


async def test_h1_unknown_paths_and_methods(client: httpx.AsyncClient) -> None:
    _problem(await client.get("/nowhere"), 404, "not-found")
    answer = await client.delete("/books")
    _problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"


def test_h12_unauthenticated_says_how() -> None:
    assert errors.Unauthenticated().headers["WWW-Authenticate"].startswith("Bearer")


async def test_h1_a_bug_tells_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/bug")
    _problem(answer, 500, "internal-error")
    assert "张三" not in answer.text


async def test_a_client_that_left_gets_no_traceback(client: httpx.AsyncClient) -> None:
    assert (await client.get("/gone")).status_code == 499


async def test_a_wrong_statement_is_a_bug(client: httpx.AsyncClient) -> None:
    _problem(await client.get("/wrong"), 500, "internal-error")


async def test_a_lost_commit_asks_for_a_repeat(client: httpx.AsyncClient) -> None:
    answer = await client.post("/stored?lost=1")
    _problem(answer, 503, "outcome-unknown")
    assert answer.headers["retry-after"] == "2"
    assert (await client.post("/stored")).json() == {"stored": "yes"}


async def test_a_lost_connection_is_unavailable(settings: Settings) -> None:
    own = Sessions(make_engine(settings.database))
    transport = httpx.ASGITransport(_app(settings, own), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        answer = await client.get("/locked")
    await own.close()
    _problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "2"


async def test_f29_a_used_up_pool_is_unavailable(settings: Settings) -> None:
    tight = settings.database.model_copy(update={"pool_size": 1, "pool_timeout_s": 0.05})
    own = Sessions(make_engine(tight))
    transport = httpx.ASGITransport(_app(settings, own), raise_app_exceptions=False)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://t") as client,
        own.read() as holder,
    ):
        await holder.execute(text("SELECT 1"))
        answer = await client.get("/wrong")
    await own.close()
    _problem(answer, 503, "unavailable")


def test_problems_describe_what_a_route_refuses() -> None:
    described = problems(errors.NotFound, ShelfFull, errors.RevisionStale, errors.CursorInvalid)
    assert set(described) == {404, 409, 412, 400}
    assert described[409]["x-codes"] == ["shelf-full"]
    both = problems(errors.Unavailable, errors.OutcomeUnknown)[503]
    assert both["description"] == "`unavailable` · `outcome-unknown`"
    assert both["content"] == {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def test_explain_falls_back_to_english() -> None:
    def shown(kind: str, facts: dict[str, Any] | None = None) -> str:
        found = {"type": kind, "loc": ("body", "x"), "msg": "english", "ctx": facts}
        return explain([found], "zh-CN")[0]["message"]

    assert shown("never_heard_of") == "english"
    assert shown("string_too_long") == "english"  # its number is missing
    assert shown("string_too_long", {"max_length": 5}) == "内容过长，最多 5 个字符"
    assert shown("own_rule", {"zh": "自己的说法"}) == "自己的说法"


def test_explain_names_odd_places() -> None:
    def pointer(*location: Any) -> str:
        found = {"type": "missing", "loc": location, "msg": "m"}
        return explain([found], "en")[0]["pointer"]

    assert pointer() == ""
    assert pointer("header", "if-match") == "header:/if-match"
    assert pointer("elsewhere", 0) == "/elsewhere/0"


def test_every_text_can_be_shown() -> None:
    for kind in list(Problem.registry.values()):
        for template in (kind.zh, kind.en):
            assert template.strip()
            assert template.count("{") == template.count("}")
        assert 400 <= kind.status < 600


def test_half_a_surrogate_pair_in_a_member_can_be_shown() -> None:
    body = json.loads(errors.NotFound(filename="\ud800.jpg").document("en", "q"))
    assert body["filename"] == "\ud800.jpg"
    assert body["instance"] == "urn:request:q"
