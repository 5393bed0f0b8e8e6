"""The reference district as a whole server in one process: its cast, their clients, its relay."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import psycopg
from fastapi import FastAPI
from psycopg import sql
from pydantic import SecretStr

from app.core.audit_sealing import Sealing
from app.core.clock import FakeClock
from app.core.db import Sessions, make_engine, new_id
from app.core.jobs import drain as drain_jobs
from app.core.memory_store import MemoryStore
from app.core.relay import Relay
from app.core.resources import Resources
from app.core.settings import DatabaseSettings, Settings
from app.core.wakeups import MemoryWakeups
from app.embedded.seeding import seed
from app.main import create_app
from app.media.jobs import JOBS
from app.notifications.delivered import Delivered
from app.reactions import REACTIONS

PASSWORD = "Etong-demo-1"
SECRET = "test-secret-key-of-more-than-32-characters"

YONGHONG_GRID = "620802105202001"
YONGHONG = "620802105202"
LIUHU = "620802105"
KONGTONG = "620802"
POLICE_LIUHU = "620802105-police"


class DatabaseServer:
    """Makes and drops databases of its own on a PostgreSQL server."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url

    def url(self, name: str) -> str:
        return self._admin_url.rsplit("/", 1)[0] + "/" + name

    def create(self, template: str = "template0") -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        self._run("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)
        return name

    def drop(self, name: str) -> None:
        self._run("DROP DATABASE {} WITH (FORCE)", name)

    def allow(self, name: str, *, connections: bool) -> None:
        """Let nobody connect any more, and end who is; or let them again."""
        self._run(f"ALTER DATABASE {{}} ALLOW_CONNECTIONS {str(connections).lower()}", name)
        if not connections:
            dsn = self._admin_url.replace("+psycopg", "")
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    [name],
                )

    def _run(self, statement: str, *names: str) -> None:
        dsn = self._admin_url.replace("+psycopg", "")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def settings_for(url: str) -> Settings:
    return Settings(
        _env_file=None,
        secret_key=SecretStr(SECRET),
        database=DatabaseSettings(url=SecretStr(url), pool_size=10),
        rate_burst=100_000,
        rate_per_s=100_000,
    )


async def seed_template(url: str, at: datetime) -> None:
    sessions = Sessions(make_engine(settings_for(url).database))
    async with sessions.begin() as session:
        await seed(session, PASSWORD, at)
    await Sealing(sessions).work()
    await sessions.close()


@dataclass
class District:
    """`client(name)` is signed in as one of the cast; `drain()` lets the relay catch up."""

    resources: Resources
    app: FastAPI
    clock: FakeClock
    store: MemoryStore
    wakeups: MemoryWakeups
    _clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, at: datetime) -> AsyncIterator["District"]:
        settings = settings_for(url)
        clock, wakeups = FakeClock(at), MemoryWakeups()
        store = MemoryStore(clock)
        resources = Resources(
            settings, Sessions(make_engine(settings.database)), store, wakeups, clock
        )
        district = cls(resources, create_app(resources), clock, store, wakeups)
        try:
            yield district
        finally:
            for client in district._clients.values():
                await client.aclose()
            await resources.the(Delivered).close()
            await resources.sessions.close()

    def anonymous(self) -> httpx.AsyncClient:
        # bugs come back as the 500 a client would see
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://etong.test")

    async def client(self, username: str) -> httpx.AsyncClient:
        """Signed in anew when the clock has outlived the last token."""
        known = self._clients.pop(username, None)
        if known is not None:
            if (await known.get("/v1/me")).status_code == httpx.codes.OK:
                self._clients[username] = known
                return known
            await known.aclose()
        client = self.anonymous()
        form = {"grant_type": "password", "username": username, "password": PASSWORD}
        answer = await client.post("/v1/token", data=form)
        answer.raise_for_status()
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        self._clients[username] = client
        return client

    async def drain(self) -> int:
        return await Relay(self.resources, REACTIONS).drain()

    async def work_off(self) -> None:
        """Let the relay catch up, then the jobs it has queued, and the relay once more."""
        await self.drain()
        await drain_jobs(self.resources, JOBS)
        await self.drain()

    async def report(self, username: str = "worker-yonghong", **changes: Any) -> dict[str, Any]:
        """A text report of this person, routed; its receipt."""
        client = await self.client(username)
        answer = await client.post("/v1/incidents", json=new_incident(**changes))
        assert answer.status_code == 201, answer.text
        await self.drain()
        receipt: dict[str, Any] = answer.json()
        return receipt

    async def act(
        self, username: str, incident_id: str, action: str, **fields: Any
    ) -> httpx.Response:
        """One transition with the revision this person sees now."""
        client = await self.client(username)
        seen = await client.get(f"/v1/incidents/{incident_id}")
        revision = seen.json().get("revision", 1)
        answer = await client.post(
            f"/v1/incidents/{incident_id}/transitions",
            json={"action": action, "revision": revision, **fields},
        )
        await self.drain()
        return answer


def new_incident(**changes: Any) -> dict[str, Any]:
    """A valid report at a grid of 永红村, with the changes applied."""
    return {
        "id": str(new_id()),
        "category": "0201",
        "urgency": "routine",
        "text": "楼道堆放杂物，堵塞消防通道",
        "place": {"grid_code": YONGHONG_GRID},
        "attachments": [],
    } | changes
