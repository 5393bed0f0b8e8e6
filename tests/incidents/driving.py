"""One server on one cloned database, driven from outside its event loop."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import httpx

from tests.conftest import NOON
from tests.district import PASSWORD, District

ResultT = TypeVar("ResultT")
TOKEN_LIFE = timedelta(minutes=13)


class World:
    """One server on one cloned database, driven from outside its event loop."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._opened = District.opened(url, NOON)
        self.district = self.run(self._opened.__aenter__())
        self._clients: dict[str, tuple[httpx.AsyncClient, Any]] = {}
        self.reached: set[tuple[str | None, str]] = set()

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        return self._runner.run(work)

    async def client(self, who: str) -> httpx.AsyncClient:
        now = self.district.clock.now()
        client, signed_in = self._clients.get(who, (None, None))
        if client is None:
            client = self.district.anonymous()
        if signed_in is None or now - signed_in > TOKEN_LIFE:
            form = {"grant_type": "password", "username": who, "password": PASSWORD}
            token = (await client.post("/v1/token", data=form)).json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            self._clients[who] = (client, now)
        return client

    async def close(self) -> None:
        for client, _ in self._clients.values():
            await client.aclose()
        await self._opened.__aexit__(None, None, None)
