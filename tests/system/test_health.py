import asyncio
import socket
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from app.core.clock import FakeClock
from app.core.db import Sessions, make_engine
from app.core.memory_store import MemoryStore
from app.core.metrics import Metrics
from app.core.resources import Resources
from app.core.settings import DatabaseSettings, Settings
from app.core.wakeups import MemoryWakeups
from app.schema import head_reasons
from app.system.health import Health


def _with_database(settings: Settings, url: str) -> Settings:
    database = DatabaseSettings(url=SecretStr(url), pool_size=1, pool_timeout_s=0.05)
    return settings.model_copy(update={"database": database})


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A server that takes a connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def _refused(client: httpx.AsyncClient) -> list[str]:
    answer = await client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["code"] == "not-ready"
    assert answer.headers["retry-after"] == "2"
    reasons: list[str] = answer.json()["reasons"]
    return reasons


async def test_not_ready_while_draining(client: httpx.AsyncClient, resources: Resources) -> None:
    resources.draining.set()
    assert await _refused(client) == ["draining"]


async def test_not_ready_while_seeding(client: httpx.AsyncClient, resources: Resources) -> None:
    resources.the(Health).seeding = True
    assert await _refused(client) == ["seeding"]


async def test_not_ready_with_another_schema(
    client: httpx.AsyncClient, resources: Resources
) -> None:
    async def behind(_: Resources) -> list[str]:
        return await asyncio.sleep(0, ["schema"])

    resources.the(Health).checks.append(behind)
    assert await _refused(client) == ["schema"]


async def test_a_check_that_cannot_tell_is_a_reason(
    client: httpx.AsyncClient, resources: Resources
) -> None:
    async def broken(_: Resources) -> list[str]:
        await asyncio.sleep(0)
        raise RuntimeError

    resources.the(Health).checks.append(broken)
    assert await _refused(client) == ["check"]


@pytest.mark.parametrize("kind", ["closed", "deaf"])
async def test_not_ready_without_database_within_a_second(
    app: FastAPI, client: httpx.AsyncClient, settings: Settings, deaf_port: int, kind: str
) -> None:
    port = deaf_port if kind == "deaf" else 1
    lost = _with_database(settings, f"postgresql+psycopg://x@127.0.0.1:{port}/x")
    sessions = Sessions(make_engine(lost.database))
    app.state.resources = Resources(lost, sessions, MemoryStore(), MemoryWakeups())
    async with asyncio.timeout(1.9):
        assert await _refused(client) == ["database"]
        assert (await client.get("/health/live")).status_code == 200
    await sessions.close()


async def test_detail_is_for_those_who_signed_in(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/detail")
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers


async def test_live_touches_nothing(client: httpx.AsyncClient, store: MemoryStore) -> None:
    answer = await client.get("/health/live")
    assert answer.json() == {"status": "live"}
    assert store.calls == 0


async def test_ready(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "store": "ok"}


async def test_r9_a_store_that_is_down_is_shown_and_fails_nothing(
    client: httpx.AsyncClient, store: MemoryStore
) -> None:
    store.down = True
    answer = await client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["store"] == "unavailable"


async def test_f29_ready_needs_no_connection_of_the_pool(
    app: FastAPI, client: httpx.AsyncClient, settings: Settings, database_url: str
) -> None:
    tight = _with_database(settings, database_url)
    sessions = Sessions(make_engine(tight.database))
    app.state.resources = Resources(tight, sessions, MemoryStore(), MemoryWakeups())
    async with sessions.read() as holder:
        await holder.execute(text("SELECT 1"))
        assert (await client.get("/health/ready")).status_code == 200
    await sessions.close()


async def test_f29_the_schema_is_asked_past_the_pool(settings: Settings, database_url: str) -> None:
    tight = _with_database(settings, database_url)
    sessions = Sessions(make_engine(tight.database))
    resources = Resources(tight, sessions, MemoryStore(), MemoryWakeups())
    async with sessions.read() as holder:
        await holder.execute(text("SELECT 1"))
        assert await head_reasons(resources) == []
    await sessions.close()


async def test_probes_share_one_look(
    client: httpx.AsyncClient, resources: Resources, database_url: str
) -> None:
    looks: list[int] = []

    async def count(_: Resources) -> list[str]:
        looks.append(1)
        return await asyncio.sleep(0, [])

    resources.the(Health).checks.append(count)
    answers = await asyncio.gather(*(client.get("/health/ready") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(looks) < 5
    await client.get("/health/ready")
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        counted = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'etong-health'"
            " AND datname = current_database()"
        ).fetchone()
    assert counted is not None
    assert counted[0] <= 1  # the last one may still be on its way out


@pytest.mark.usefixtures("as_caller")
async def test_detail_shows_what_is_known(
    client: httpx.AsyncClient, resources: Resources, clock: FakeClock
) -> None:
    async def old(_: Resources) -> float:
        return await asyncio.sleep(0, 31.0)

    async def broken(_: Resources) -> float:
        await asyncio.sleep(0)
        raise RuntimeError

    resources.the(Metrics).age("outbox_oldest_seconds", "…", old)
    resources.the(Metrics).age("unrouted_oldest_seconds", "…", broken)
    detail = (await client.get("/health/detail")).json()
    assert detail.pop("version")
    assert detail.pop("pool")["size"] > 0
    assert detail.pop("loop_lag_ms") >= 0
    now = clock.now().isoformat().replace("+00:00", "Z")
    assert detail == {
        "status": "ready",
        "reasons": [],
        "store": "ok",
        "disk_used": 0.0,
        "ages": {"outbox_oldest_seconds": 31.0, "unrouted_oldest_seconds": None},
        "started_at": now,
        "server_time": now,
    }


async def test_metrics_are_prometheus_text(client: httpx.AsyncClient) -> None:
    await client.get("/health/live")
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    expected = 'http_requests_total{method="GET",route="/health/live",status="200"} 1.0'
    assert expected in answer.text
