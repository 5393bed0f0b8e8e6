"""The routes of categories behind callers of every role."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app.accounts.caller import Caller, Holding
from app.accounts.permissions import Role
from app.categories import router, seed
from app.core.clock import FakeClock
from app.core.db import Sessions, new_id
from app.core.http import install_errors
from app.core.memory_store import MemoryStore
from app.core.resources import Resources
from app.core.settings import Settings
from app.core.wakeups import MemoryWakeups

CALLER_ID = UUID("01900000-0000-7000-8000-000000000001")
AsRole = Callable[[Role], httpx.AsyncClient]


@pytest.fixture
def resources(settings: Settings, sessions: Sessions, clock: FakeClock) -> Resources:
    return Resources(settings, sessions, MemoryStore(clock), MemoryWakeups(), clock)


@pytest.fixture
async def seeded(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await seed.seed(session)


@pytest.fixture
async def as_role(resources: Resources, clock: FakeClock) -> AsyncIterator[AsRole]:
    """`as_role(Role.HANDLER)`: a client whose caller is already known to be that."""
    app = FastAPI()
    app.include_router(router.router, prefix="/v1")
    install_errors(app)
    app.state.resources = resources
    made: list[httpx.AsyncClient] = []

    def client(role: Role) -> httpx.AsyncClient:
        caller = _caller(role, clock)

        async def known(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": {"caller": caller}}, receive, send)

        transport = httpx.ASGITransport(known)
        made.append(httpx.AsyncClient(transport=transport, base_url="http://etong.test"))
        return made[-1]

    yield client
    for opened in made:
        await opened.aclose()


def _caller(role: Role, clock: FakeClock) -> Caller:
    held = Holding(role, new_id(), "U1", "单位", "township", "centre", "620802105")
    return Caller(
        id=CALLER_ID,
        name="测试",
        kind="person",
        session_id=new_id(),
        terminal_id=None,
        holdings=(held,),
        grid_codes=frozenset(),
        expires_at=clock.now() + timedelta(hours=1),
    )
