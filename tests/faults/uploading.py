"""A phone that uploads through whatever happens to servers, and what is true of its file after."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from app.core.db import new_id
from tests.district import new_incident
from tests.incidents.uploading import STREAM, metadata

MIB = 1024 * 1024
_TRIES = 60


@dataclass
class Sender:
    """One file of one report. `acknowledged`: the highest offset that a server has told it."""

    token: str
    body: bytes
    incident: str = ""
    attachment: str = field(default_factory=lambda: str(new_id()))
    path: str = ""
    acknowledged: int = 0

    def link(self, url: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token}", "Tus-Resumable": "1.0.0"}
        return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30)

    async def report(self, url: str) -> None:
        """The text, which waits for the file."""
        file = {
            "id": self.attachment,
            "kind": "photo",
            "name": "现场.png",
            "size": len(self.body),
            "sha256": hashlib.sha256(self.body).hexdigest(),
        }
        made = new_incident(attachments=[file])
        async with self.link(url) as link:
            answer = await link.post("/v1/incidents", json=made)
        assert answer.status_code == 201, answer.text
        self.incident = str(made["id"])

    async def create(self, url: str) -> bool:
        headers = {
            "Upload-Length": str(len(self.body)),
            "Upload-Metadata": metadata(incident_id=self.incident, attachment_id=self.attachment),
        }
        answer = await self._asked(url, "POST", "/v1/uploads", headers)
        if answer is None or answer.status_code != 201:
            return False
        self.path = answer.headers["location"]
        return True

    async def patch(self, url: str, start: int, end: int) -> bool:
        headers = {"Upload-Offset": str(start), "Content-Type": STREAM}
        answer = await self._asked(url, "PATCH", self.path, headers, self.body[start:end])
        return answer is not None and answer.status_code == 204

    async def offset(self, url: str) -> int | None:
        """What HEAD says; never less than was told before."""
        answer = await self._asked(url, "HEAD", self.path, {})
        if answer is None or answer.status_code != 204:
            return None
        return int(answer.headers["upload-offset"])

    async def all_at(self, url: str, ends: Sequence[int]) -> bool:
        """Created and sent in so many requests; whether each was answered well."""
        if not await self.create(url):
            return False
        start = self.acknowledged
        for end in (end for end in ends if end > start):
            if not await self.patch(url, start, end):
                return False
            start = end
        return True

    async def finish(self, url: str, step: int = 1 << 40) -> None:
        """As a phone does: asks how far it is, sends the rest, and again until it is stored."""
        for attempt in range(_TRIES):
            if (self.path or await self.create(url)) and await self._goes_on(url, step):
                return
            await asyncio.sleep(min(0.05 * attempt, 0.5))
        raise AssertionError(f"not stored in {_TRIES} tries: {self}")

    async def _goes_on(self, url: str, step: int) -> bool:
        offset = await self.offset(url)
        if offset is None:
            return False
        if offset < len(self.body):
            await self.patch(url, offset, min(offset + step, len(self.body)))
        return await self.is_stored(url)

    async def is_stored(self, url: str) -> bool:
        async with self.link(url) as link:
            shown = (await link.get(f"/v1/incidents/{self.incident}")).json()
        return [item["state"] for item in shown["attachments"]] == ["stored"]

    async def check_whole(self, url: str) -> None:
        """The bytes that anybody gets are those that were sent."""
        async with self.link(url) as link:
            shown = (await link.get(f"/v1/incidents/{self.incident}")).json()
            got = await link.get(shown["attachments"][0]["url"])
        assert got.status_code == 200, got.text
        assert hashlib.sha256(got.content).digest() == hashlib.sha256(self.body).digest()

    async def _asked(
        self, url: str, method: str, path: str, headers: dict[str, str], body: bytes = b""
    ) -> httpx.Response | None:
        """None: no answer. No offset that a server tells may lie below one told before."""
        try:
            async with self.link(url) as link:
                answer = await link.request(method, path, headers=headers, content=body)
        except httpx.TransportError:
            return None
        told = answer.headers.get("upload-offset")
        if told is not None:
            assert int(told) >= self.acknowledged, f"{told} after {self.acknowledged}"
            self.acknowledged = int(told)
        return answer

    def __repr__(self) -> str:
        return f"Sender({self.path}, {self.acknowledged} of {len(self.body)})"
