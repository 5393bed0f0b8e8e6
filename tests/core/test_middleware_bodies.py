import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import APIRouter, FastAPI, Request
from pydantic import SecretStr

from app.core.bodies import BodyLimits
from app.core.db import Sessions, make_engine
from app.core.errors import PROBLEM_JSON
from app.core.http import install_errors
from app.core.memory_store import MemoryStore
from app.core.middleware import RequestContext
from app.core.pace import Pace
from app.core.resources import Resources
from app.core.settings import DatabaseSettings, Settings
from app.core.wakeups import MemoryWakeups

MOST = 10_000
IDLE_S = 0.3
PACE = Pace(idle_s=IDLE_S, bytes_per_s=5, window_s=1.0)
router = APIRouter()

NOWHERE = DatabaseSettings(url=SecretStr("postgresql+psycopg://nobody@127.0.0.1:9/none"))
"""No database is asked here."""


@router.post("/json")
async def take_json(body: dict[str, Any]) -> dict[str, int]:
    return {"fields": len(body)}


@router.post("/import")
@router.post("/import/more")
@router.post("/importer")
@router.post("/raw")
@router.put("/incidents/{number}/attachments/{name}")
@router.patch("/uploads/{name}")
async def take_stream(request: Request) -> dict[str, int]:
    return {"bytes": sum([len(chunk) async for chunk in request.stream()])}


@pytest.fixture(scope="module")
async def app(settings: Settings) -> FastAPI:
    app = FastAPI()
    sessions = Sessions(make_engine(NOWHERE))
    app.state.resources = Resources(settings, sessions, MemoryStore(), MemoryWakeups())
    app.include_router(router, prefix="/v1")
    install_errors(app)
    exceptions = {
        "/v1/import": 50_000,
        "/v1/incidents/*/attachments": None,
        "/v1/uploads": None,
    }
    app.add_middleware(BodyLimits, most=MOST, pace=PACE, exceptions=exceptions)
    app.add_middleware(RequestContext)
    return app


@pytest.fixture(scope="module")
async def address(app: FastAPI) -> AsyncIterator[tuple[str, int]]:
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="off"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()
    yield host, port
    server.should_exit = True
    await task


@pytest.fixture
async def client(address: tuple[str, int]) -> AsyncIterator[httpx.AsyncClient]:
    base = f"http://{address[0]}:{address[1]}/v1"
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=10) as client:
        yield client


async def _chunks(total: int, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, total, size):
        yield b"x" * min(size, total - start)


def _too_large(answer: httpx.Response, limit: int = MOST) -> None:
    assert answer.status_code == 413
    assert answer.headers["content-type"] == PROBLEM_JSON
    assert answer.json()["code"] == "payload-too-large"
    assert answer.json()["limit"] == limit
    assert answer.headers["x-request-id"]


async def _raw(address: tuple[str, int], sent: bytes) -> bytes:
    """Send these bytes, then be silent; everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(sent)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def test_a_large_body_is_refused_by_its_length(client: httpx.AsyncClient) -> None:
    _too_large(await client.post("/json", json={"a": "x" * MOST}))
    _too_large(await client.post("/raw", content=b"x" * (MOST + 1)))
    _too_large(await client.post("/raw", content=b"x" * 5_000_000))


async def test_a_large_body_is_refused_before_it_is_sent(address: tuple[str, int]) -> None:
    head = (
        b"POST /v1/json HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
        b"Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"
    )
    answer = await _raw(address, head)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("path", ["/raw", "/json"])
async def test_a_chunked_body_is_counted(client: httpx.AsyncClient, path: str) -> None:
    headers = {"Content-Type": "application/json"}
    _too_large(await client.post(path, content=_chunks(MOST + 1), headers=headers))
    _too_large(await client.post(path, content=_chunks(1_000_000, 50_000), headers=headers))


async def test_a_body_at_the_limit_passes(client: httpx.AsyncClient) -> None:
    assert (await client.post("/raw", content=b"x" * MOST)).json() == {"bytes": MOST}
    assert (await client.post("/raw", content=_chunks(MOST))).json() == {"bytes": MOST}
    assert (await client.post("/json", json={"a": 1})).json() == {"fields": 1}


async def test_a_path_has_a_limit_of_its_own(client: httpx.AsyncClient) -> None:
    for path in ("/import", "/import/more"):
        assert (await client.post(path, content=b"x" * 50_000)).json() == {"bytes": 50_000}
        _too_large(await client.post(path, content=b"x" * 50_001), 50_000)
    _too_large(await client.post("/importer", content=b"x" * (MOST + 1)))


async def test_media_paths_count_for_themselves(client: httpx.AsyncClient) -> None:
    put = await client.put("/incidents/7/attachments/a", content=_chunks(200_000))
    assert put.json() == {"bytes": 200_000}
    patch = await client.patch("/uploads/a", content=b"x" * 200_000)
    assert patch.json() == {"bytes": 200_000}


async def test_multipart_counts_for_itself(client: httpx.AsyncClient) -> None:
    answer = await client.post("/raw", files={"a": b"x" * 100_000})
    assert answer.json()["bytes"] > 100_000


@pytest.mark.parametrize("path", [b"/v1/json", b"/v1/raw"])
@pytest.mark.parametrize("begun", [b"", b'{"a":'])
async def test_a_silent_sender_is_ended(
    address: tuple[str, int], path: bytes, begun: bytes
) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n" % path
    answer = await _raw(address, head + b"Content-Length: 100\r\n\r\n" + begun)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"request-timeout"' in answer
    assert b"x-request-id" in answer
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_silent_multipart_sender_is_ended(address: tuple[str, int]) -> None:
    head = b"POST /v1/raw HTTP/1.1\r\nHost: t\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    answer = await _raw(address, head + b"Content-Length: 100\r\n\r\n--b")
    assert answer.startswith(b"HTTP/1.1 408")


async def test_a_slow_sender_is_heard_out(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"POST /v1/raw HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n")
    for _ in range(5):
        await asyncio.sleep(IDLE_S / 3)
        writer.write(b"x")
    answer = await asyncio.wait_for(reader.readuntil(b"}"), 5)
    writer.close()
    assert b"200 OK" in answer
    assert b'{"bytes":5}' in answer


async def test_an_unread_body_does_not_hold_the_answer(client: httpx.AsyncClient) -> None:
    answer = await client.post("/nowhere", content=b"x" * 100)
    assert answer.status_code == 404
