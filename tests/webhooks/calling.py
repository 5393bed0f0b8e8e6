"""A platform that calls back: what it signs, what it is told, and what the database then holds."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import orjson

from app.core.db import new_id
from app.webhooks.callback_pump import CallbackPump
from app.webhooks.signing import signed_headers
from tests.district import District
from tests.incidents.paths import TOWNSHIP, UP, walk

PLATFORM = "liuhu-platform"

Content = Mapping[str, Any]
"""The `data` of a callback, and its `type` where that is no transition."""


@dataclass
class Calling:
    """Callbacks of one platform. `send` signs with its newest secret unless told otherwise."""

    district: District
    pump: CallbackPump
    code: str = PLATFORM
    secret: str = ""

    @classmethod
    async def of(cls, district: District, code: str = PLATFORM) -> "Calling":
        calling = cls(district, CallbackPump(district.resources), code)
        await calling.rotate()
        return calling

    async def id(self) -> str:
        listed = (await (await self.district.client("admin")).get("/v1/platforms")).json()
        return str(next(item["id"] for item in listed["items"] if item["code"] == self.code))

    async def rotate(self) -> str:
        """The new secret, from now on this platform's."""
        admin = await self.district.client("admin")
        answer = await admin.post(f"/v1/platforms/{await self.id()}/rotate-callback-secret")
        assert answer.status_code == 200, answer.text
        self.secret = str(answer.json()["secret"])
        return self.secret

    async def post(self, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        async with self.district.anonymous() as client:
            return await client.post(
                f"/v1/callbacks/{self.code}",
                content=body,
                headers={"Content-Type": "application/json", **headers},
            )

    def signed(self, body: bytes, webhook_id: str, **changes: Any) -> dict[str, str]:
        at: datetime = changes.get("at", self.district.clock.now())
        return signed_headers([changes.get("secret", self.secret)], webhook_id, at, body)

    async def send(self, content: Content, webhook_id: str | None = None) -> str:
        """Accepted for keeping; its id."""
        webhook_id = webhook_id or f"msg_{new_id()}"
        body = message(content)
        answer = await self.post(body, self.signed(body, webhook_id))
        assert answer.status_code == 202, answer.text
        assert answer.json()["webhook_id"] == webhook_id
        return webhook_id

    async def told(self, webhook_id: str, username: str = "admin") -> dict[str, Any]:
        client = await self.district.client(username)
        answer = await client.get(f"/v1/callbacks/{self.code}/{webhook_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def became(self, content: Content) -> tuple[str, str | None]:
        """State and code after it was sent and the pump has run."""
        webhook_id = await self.send(content)
        await self.pump.drain()
        await self.district.drain()
        told = await self.told(webhook_id)
        return told["state"], told["code"]

    async def wait(self, **span: float) -> None:
        """Time passes, and the pump looks again."""
        self.district.clock.advance(timedelta(**span))
        await self.pump.drain()
        await self.district.drain()


def message(content: Content) -> bytes:
    data = {key: value for key, value in content.items() if key != "type"}
    kind = content.get("type", "incident.transition")
    return orjson.dumps({"type": kind, "timestamp": "2026-03-11T04:00:00Z", "data": data})


async def at_township(district: District, **changes: Any) -> str:
    """The id of a new matter that waits at the platform's own centre."""
    incident_id: str = (await district.report(**changes))["id"]
    await walk(district, incident_id, UP)
    return incident_id


async def shown(district: District, incident_id: str, who: str = TOWNSHIP) -> dict[str, Any]:
    answer = await (await district.client(who)).get(f"/v1/incidents/{incident_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@asynccontextmanager
async def signed_in_platform(calling: Calling) -> AsyncIterator[httpx.AsyncClient]:
    """By client credentials; its former client secret ends."""
    admin = await calling.district.client("admin")
    made = await admin.post(f"/v1/platforms/{await calling.id()}/rotate-secret")
    form = {
        "grant_type": "client_credentials",
        "client_id": calling.code,
        "client_secret": made.json()["secret"],
    }
    async with calling.district.anonymous() as client:
        answer = await client.post("/v1/token", data=form)
        assert answer.status_code == 200, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client
