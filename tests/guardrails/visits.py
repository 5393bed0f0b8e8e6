"""Every safe operation asked by everybody who may, about things that are there."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from app.accounts.permissions import ROLE_PERMISSIONS, Permission, Role
from app.incidents.jobs import ExportMaker
from tests.conftest import NOON
from tests.district import LIUHU, YONGHONG, District
from tests.guardrails.api import SAMPLES, Api, Operation
from tests.guardrails.story import FIRST, Story
from tests.webhooks.calling import Calling

CAST = {
    "worker-yonghong": Role.GRID_WORKER,
    "desk-liuhu": Role.DISPATCHER,
    "police-liuhu": Role.HANDLER,
    "supervisor-kongtong": Role.SUPERVISOR,
    "auditor": Role.AUDITOR,
    "security": Role.SECURITY_OFFICER,
    "admin": Role.ADMINISTRATOR,
}
ENDLESS = {
    "stream_inbox": "an open stream; tests/notifications ask it",
    "examine_upload": "its creator's alone, without a body; tests/incidents asks it",
}
SAFE = ("get", "head")


@dataclass(frozen=True)
class Visit:
    operation: Operation
    username: str
    answer: httpx.Response

    @property
    def found(self) -> bool:
        return self.answer.status_code == httpx.codes.OK


@dataclass
class Visitors:
    """The cast, signed in, in a district where one matter went all the way."""

    district: District
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)
    _values: dict[str, str] = field(default_factory=dict)
    _codes: dict[str, str] = field(default_factory=dict)
    _own: dict[str, dict[str, str]] = field(default_factory=dict)
    """Values that are one operation's alone."""
    _open: str = ""
    """A matter that still takes what is added."""

    async def settle(self) -> None:
        """Sign everybody in and find one of everything that a path can name."""
        for username in CAST:
            self.clients[username] = await self.district.client(username)
        admin, worker = self.clients["admin"], self.clients["worker-yonghong"]
        unit = (await admin.get("/v1/units?q=永红")).json()["items"][0]["id"]
        hours = {"sessions": [["08:30", "18:00"]]}
        (await admin.put(f"/v1/office-hours/{unit}", json=hours)).raise_for_status()
        begun = (await admin.post("/v1/areas/import", json={"csv": "code,name\n"})).json()
        rules = {"rules": [{"name": "全部", "level": "village"}]}
        tried = (await admin.post("/v1/routing/dry-run", json=rules)).json()
        people = (await self.clients["security"].get("/v1/people?q=police")).json()["items"]
        (shown, *_) = (await worker.get(f"/v1/incidents/{FIRST}")).json()["attachments"]
        calling = await Calling.of(self.district)
        for _ in range(2):
            called = await calling.send({"type": "incident.comment", "number": "0"})
        link = urlsplit(shown["url"])
        *_, file_id, variant = link.path.split("/")
        self._values = {
            "incident_id": FIRST,
            "unit": unit,
            "unit_id": unit,
            "import_id": begun["id"],
            "dry_run_id": tried["id"],
            "person_id": people[0]["id"],
            "file_id": file_id,
            "attachment_id": shown["id"],
            "variant": variant,
            "endpoint_id": await self._endpoint(admin),
            "platform": calling.code,
            "webhook_id": called,
            **dict(parse_qsl(link.query)),
        }
        self._own = {"download_export": await self._exported(worker)}
        self._values["export_id"] = self._own["download_export"]["export_id"]
        self._open = (await self.district.report())["id"]
        self._codes = {"areas": YONGHONG, "categories": "0201"}

    async def _exported(self, worker: httpx.AsyncClient) -> dict[str, str]:
        """What the link to a finished export names."""
        begun = await worker.post("/v1/incidents/exports", json={"format": "csv"})
        await ExportMaker(self.district.resources).drain()
        told = (await worker.get(begun.headers["location"])).json()
        return {"export_id": told["id"], **dict(parse_qsl(urlsplit(told["url"]).query))}

    async def _endpoint(self, admin: httpx.AsyncClient) -> str:
        """With two deliveries."""
        wanted = {"url": "https://1.1.1.1/hook", "area_codes": [LIUHU]}
        made = (await admin.post("/v1/webhook-endpoints", json=wanted)).json()
        (await admin.post(f"/v1/webhook-endpoints/{made['id']}/test")).raise_for_status()
        return str(made["id"])

    def path(self, operation: Operation) -> str:
        values = {"code": self._codes.get(operation.path.split("/")[2], ""), **self._values}
        if operation.method not in SAFE:
            values["incident_id"] = self._open
        filled = {name: values.get(name, SAMPLES["uuid"]) for name in operation.placeholders}
        return operation.path.format_map(filled)

    def query(self, api: Api, operation: Operation) -> dict[str, Any]:
        wanted = [each for each in operation.parameters if each["in"] == "query"]
        values = self._values | self._own.get(operation.name, {})
        required = {p["name"]: api.smallest(p["schema"]) for p in wanted if p.get("required")}
        known = {p["name"]: values[p["name"]] for p in wanted if p["name"] in values}
        return {**required, **known} if operation.placeholders else required

    async def visit(self, api: Api) -> list[Visit]:
        """Everybody who has the permission asks every safe operation once."""
        return [
            Visit(operation, username, await self._ask(api, operation, username))
            for operation in safe(api)
            for username in self.clients
            if granted(username, operation)
        ]

    async def _ask(self, api: Api, operation: Operation, username: str) -> httpx.Response:
        return await self.clients[username].request(
            operation.method, self.path(operation), params=self.query(api, operation)
        )


def safe(api: Api) -> Iterator[Operation]:
    return (o for o in api.operations() if o.method in SAFE and o.name not in ENDLESS)


def granted(username: str, operation: Operation) -> bool:
    if operation.permission is None:
        return True
    return Permission(operation.permission) in ROLE_PERMISSIONS[CAST[username]]


@asynccontextmanager
async def opened_visitors(url: str) -> AsyncIterator[Visitors]:
    async with District.opened(url, NOON) as district:
        await Story(district).tell()
        visitors = Visitors(district)
        await visitors.settle()
        yield visitors
