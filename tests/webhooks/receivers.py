"""A platform that receives: the double of its HTTP door, and what it was told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.webhooks.pump import Pump
from app.webhooks.sending import Outcome
from tests.district import District

URL = "https://platform.example:8443/hook"


@dataclass(frozen=True)
class Call:
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.body)
        return found


@dataclass
class Receiver:
    """Answers every call with what `answer` says; keeps them all."""

    answer: Callable[[Call], Outcome] = lambda _: Outcome(200, 1)
    calls: list[Call] = field(default_factory=list)

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        call = Call(url, dict(headers), body)
        self.calls.append(call)
        return self.answer(call)

    async def close(self) -> None:
        pass

    def of(self, kind: str) -> list[Call]:
        return [call for call in self.calls if call.json["type"] == kind]


def status(code: int) -> Callable[[Call], Outcome]:
    return lambda _: Outcome(code, 1)


@dataclass
class Platform:
    """An endpoint of the district with its receiver and a pump."""

    district: District
    receiver: Receiver
    pump: Pump
    id: str = ""
    secret: str = ""

    async def subscribe(self, username: str = "admin", **changes: Any) -> dict[str, Any]:
        client = await self.district.client(username)
        wanted = {"url": "https://1.1.1.1/hook", "area_codes": ["620802105"], **changes}
        answer = await client.post("/v1/webhook-endpoints", json=wanted)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        self.id, self.secret = made["id"], made["secret"]
        await self.pump.drain()
        return made

    async def told(self) -> None:
        """Everything that has happened is queued and, where due, sent."""
        await self.district.drain()
        await self.pump.drain()

    async def ask(self, path: str = "", method: str = "GET", **fields: Any) -> Any:
        client = await self.district.client("admin")
        url = f"/v1/webhook-endpoints/{self.id}{path}"
        answer = await client.request(method, url, json=fields or None)
        assert answer.is_success, answer.text
        return answer.json()

    async def state(self) -> str:
        return str((await self.ask())["state"])

    async def deliveries(self, kind: str = "incident.reported") -> list[dict[str, Any]]:
        items = (await self.ask("/deliveries"))["items"]
        return [item for item in items if item["type"] == kind]
