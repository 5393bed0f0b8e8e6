"""The reference district behind a real HTTP server in a thread of its own.

Hypothesis calls its tests synchronously: they talk to the server as any client does.
"""

import asyncio
import contextlib
import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
import uvicorn

from app.core.relay import Relay
from app.reactions import REACTIONS
from tests.conftest import NOON
from tests.district import LIUHU, PASSWORD, YONGHONG, District, new_incident
from tests.guardrails.story import PICTURE

WORKER, DESK, ADMIN = "worker-yonghong", "desk-liuhu", "admin"
SECURITY, AUDITOR, BYSTANDER = "security", "auditor", "worker-minxin"
FARAWAY = "620802003"
"""A township in which none of the cast works: what happens to it hurts nobody's rights."""
ENDPOINTS = 12
"""Some are deleted on the way."""
REPORTS = 8

Ids = dict[str, str]


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Live:
    """A running server, who is signed in, and what there is to be named."""

    url: str
    session: requests.Session
    known: dict[str, list[Ids]] = field(default_factory=dict)
    """First word of a path → objects, each with every value that leads to it."""
    answered: dict[str, set[int]] = field(default_factory=dict)
    """Operation → the statuses it was answered with."""
    _signed_in: dict[str, dict[str, str]] = field(default_factory=dict)

    def headers(self, username: str) -> dict[str, str]:
        return self._signed_in.get(username) or self.sign_in(username)

    def sign_in(self, username: str, **more: str) -> dict[str, str]:
        form = {"grant_type": "password", "username": username, "password": PASSWORD, **more}
        answer = self.session.post(f"{self.url}/v1/token", data=form)
        answer.raise_for_status()
        token = answer.json()["access_token"]
        self._signed_in[username] = {"Authorization": f"Bearer {token}"}
        return self._signed_in[username]

    def spare_session(self, username: str) -> Ids:
        """A session of the caller's that is not the one in use."""
        used = self.headers(username)
        self.sign_in(username)
        self._signed_in[username] = used
        return {"session_id": self._ids(username, "/v1/me/sessions?limit=1")[0]}

    def furnish(self) -> None:
        """One of everything that a path can name."""
        reports = [self._report(number) for number in range(REPORTS)]
        units = self._ids(ADMIN, f"/v1/units?area={FARAWAY}&limit=5")
        liuhu = self._ask(ADMIN, "GET", f"/v1/units/{LIUHU}")["id"]
        hours = {"sessions": [["08:30", "18:00"]]}
        self._ask(ADMIN, "PUT", f"/v1/office-hours/{liuhu}", json=hours)
        self.sign_in(BYSTANDER, terminal_id="terminal-of-minxin")
        begun = self._ask(ADMIN, "POST", "/v1/areas/import", json={"csv": "code,name\n"})
        export = self._ask(WORKER, "POST", "/v1/incidents/exports", json={"format": "csv"})
        reports = [{**each, "export_id": str(export["id"])} for each in reports]
        self.known = {
            "areas": [{"code": YONGHONG, "import_id": begun["id"]}],
            "categories": [{"code": "0201"}],
            "files": [each for each in reports if "file_id" in each],
            "incidents": reports,
            "office-hours": [{"unit_id": liuhu}],
            "people": [{"person_id": each} for each in self._ids(SECURITY, "/v1/people?q=police")],
            "platforms": [{"platform_id": each} for each in self._ids(ADMIN, "/v1/platforms")],
            "terminals": [{"terminal_id": "terminal-of-minxin"}],
            "units": [{"unit": each} for each in units],
            "webhook-endpoints": [{"endpoint_id": self._endpoint()} for _ in range(ENDPOINTS)],
        }
        assert all(self.known.values()), self.known

    def spare_endpoint(self) -> Ids:
        """One that nobody else is sent to."""
        return {"endpoint_id": self._endpoint()}

    def _endpoint(self) -> str:
        endpoint = {"url": "https://1.1.1.1/hook", "area_codes": [LIUHU]}
        return str(self._ask(ADMIN, "POST", "/v1/webhook-endpoints", json=endpoint)["id"])

    def _ids(self, username: str, path: str) -> list[str]:
        return [each["id"] for each in self._ask(username, "GET", path)["items"]]

    def _ask(self, username: str, method: str, path: str, **more: Any) -> Any:
        headers = self.headers(username)
        answer = self.session.request(method, self.url + path, headers=headers, **more)
        answer.raise_for_status()
        return answer.json()

    def _report(self, number: int) -> Ids:
        """Every second one has its file; the others still expect it."""
        manifest = {
            "id": f"0193c2f0-7b1e-7c3a-9d52-2f9f6b1c10{number:02}",
            "kind": "photo",
            "size": len(PICTURE),
            "sha256": hashlib.sha256(PICTURE).hexdigest(),
        }
        report = new_incident(
            id=f"0193c2f0-7b1e-7c3a-9d52-2f9f6b1c00{number:02}", attachments=[manifest]
        )
        self._ask(WORKER, "POST", "/v1/incidents", json=report)
        ids: Ids = {"incident_id": report["id"], "attachment_id": str(manifest["id"])}
        return ids if number % 2 else ids | self._file(ids)

    def _file(self, ids: Ids) -> Ids:
        """Bring the file; the words of its signed link."""
        incident = f"/v1/incidents/{ids['incident_id']}"
        place = f"{incident}/attachments/{ids['attachment_id']}"
        self._ask(WORKER, "PUT", place, data=PICTURE)
        (shown,) = self._ask(WORKER, "GET", incident)["attachments"]
        link = urlsplit(shown["url"])
        *_, file_id, variant = link.path.split("/")
        return {"file_id": file_id, "variant": variant, **dict(parse_qsl(link.query))}


@contextlib.contextmanager
def served(database_url: str) -> Iterator[Live]:
    # with the protocol named asyncio does not let a body wait for its header's ack
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    server: list[_Server] = []
    open_for_business = threading.Event()

    async def serve() -> None:
        async with District.opened(database_url, NOON) as district:
            config = uvicorn.Config(district.app, lifespan="off", log_config=None, access_log=False)
            server.append(_Server(config))
            stop = asyncio.Event()
            relaying = asyncio.create_task(Relay(district.resources, REACTIONS).run(stop))
            open_for_business.set()
            await server[0].serve(sockets=[listening])
            stop.set()
            await relaying

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="served")
    thread.start()
    try:
        assert open_for_business.wait(30), "the district did not open"
        with requests.Session() as session:
            live = Live(f"http://127.0.0.1:{listening.getsockname()[1]}", session)
            live.furnish()
            yield live
    finally:
        for each in server:
            each.should_exit = True
        thread.join(30)
        listening.close()
