from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.core.clock import FakeClock
from app.core.db import Sessions
from app.core.http import install_errors
from app.core.memory_store import MemoryStore
from app.core.resources import Resources
from app.core.settings import Settings
from app.core.wakeups import MemoryWakeups
from app.media.router import router


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def resources(
    settings: Settings, sessions: Sessions, store: MemoryStore, clock: FakeClock
) -> Resources:
    return Resources(settings, sessions, store, MemoryWakeups(), clock)


@pytest.fixture
async def client(resources: Resources) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.state.resources = resources
    install_errors(app)
    app.include_router(router, prefix="/v1")
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client
