"""The web edge over accounts alone, with real sign-ins."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.accounts.router import router
from app.core.clock import FakeClock
from app.core.db import Sessions
from app.core.http import install_errors
from app.core.memory_store import MemoryStore
from app.core.middleware import RequestContext
from app.core.resources import Resources
from app.core.settings import Settings
from app.core.wakeups import MemoryWakeups
from tests.make import PASSWORD, Cast, make_cast


@pytest.fixture
def resources(settings: Settings, sessions: Sessions, clock: FakeClock) -> Resources:
    return Resources(settings, sessions, MemoryStore(), MemoryWakeups(), clock)


def app_over(resources: Resources) -> FastAPI:
    app = FastAPI()
    app.include_router(router, prefix="/v1")
    install_errors(app)
    app.state.resources = resources
    app.add_middleware(RequestContext)
    return app


class Phone:
    """An HTTP client that can sign in; one a terminal."""

    def __init__(self, resources: Resources) -> None:
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app_over(resources)), base_url="http://test"
        )

    async def token(self, **form: str) -> httpx.Response:
        headers = {"Idempotency-Key": form.pop("key")} if "key" in form else {}
        return await self.http.post("/v1/token", data=form, headers=headers)

    async def password(
        self, username: str, password: str = PASSWORD, **more: str
    ) -> httpx.Response:
        return await self.token(grant_type="password", username=username, password=password, **more)

    async def sign_in(self, username: str, **more: str) -> dict[str, str]:
        """Headers with which to go on."""
        answer = await self.password(username, **more)
        assert answer.status_code == 200, answer.text
        return {"Authorization": "Bearer " + answer.json()["access_token"]}

    async def get(self, path: str, who: dict[str, str], **query: str | int) -> httpx.Response:
        return await self.http.get(f"/v1{path}", headers=who, params=query)

    async def post(
        self, path: str, who: dict[str, str], body: object = None, **headers: str
    ) -> httpx.Response:
        return await self.http.post(f"/v1{path}", headers={**who, **headers}, json=body)

    async def patch(
        self, path: str, who: dict[str, str], body: object, **headers: str
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.patch(f"/v1{path}", headers={**who, **named}, json=body)


@pytest.fixture
async def phone(resources: Resources) -> AsyncIterator[Phone]:
    phone = Phone(resources)
    yield phone
    await phone.http.aclose()


@pytest.fixture
async def cast(sessions: Sessions) -> Cast:
    async with sessions.begin() as session:
        return await make_cast(session)


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Assert a refusal and give its body."""
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    ), answer.text
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    return body
