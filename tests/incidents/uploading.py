"""What speaks tus in the tests: on a loopback socket, every byte as it is written."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

from app.media.models import Upload
from tests.incidents.listening import Answer, Served, Wire, head
from tests.incidents.paths import WORKER, listed, photo

STREAM = "application/offset+octet-stream"
SOON_S = 5.0


def picture_of(size: int, seed: int = 1) -> bytes:
    """A PNG with so many bytes: what follows its end is nobody's business."""
    start = photo(seed)[:size]
    return (
        start
        + bytes((n * n + seed) % 251 for n in range(min(size - len(start), 4096)))
        + bytes(max(0, size - len(start) - 4096))
    )


def metadata(**told: object) -> str:
    return ",".join(f"{k} {b64encode(str(v).encode()).decode()}" for k, v in told.items())


class Phone:
    """Of one person: creates uploads and goes on with them."""

    def __init__(self, served: Served, bearer: str) -> None:
        self.served = served
        self._known = {"Tus-Resumable": "1.0.0", "Authorization": bearer}

    @classmethod
    async def of(cls, served: Served, who: str = WORKER) -> "Phone":
        return cls(served, await served.bearer(who))

    def head(self, target: str, headers: Mapping[str, str | int | None]) -> bytes:
        told = {**self._known, **headers}
        return head(target, **{k: str(v) for k, v in told.items() if v is not None})

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: Any) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body or method in {"POST", "PATCH"}:
            named.setdefault("Content-Length", len(body))
        async with self.served.wire() as wire:
            await wire.send(self.head(f"{method} {path}", named), body)
            return await wire.answer(method)

    async def create(self, length: int | None, body: bytes = b"", **told: object) -> Answer:
        headers: dict[str, Any] = {
            "Upload-Metadata": metadata(**told) if told else None,
            "Upload-Length": length,
            "Upload-Defer-Length": 1 if length is None else None,
            "Content-Type": STREAM if body else None,
        }
        return await self.ask("POST", "/v1/uploads", body, **headers)

    async def created(self, length: int | None, **told: Any) -> str:
        answer = await self.create(length, **told)
        assert answer.status == 201, answer
        return answer.headers["location"]

    async def offset(self, url: str) -> int:
        answer = await self.ask("HEAD", url)
        assert answer.status in {200, 204}, answer
        return int(answer.headers["upload-offset"])

    async def patch(self, url: str, offset: int, body: bytes, **more: Any) -> Answer:
        return await self.ask("PATCH", url, body, **{**self.offset_stream(offset), **more})

    def offset_stream(self, offset: int) -> dict[str, Any]:
        return {"Content-Type": STREAM, "Upload-Offset": offset}

    @asynccontextmanager
    async def sending(
        self, url: str, offset: int, announced: int, *pieces: bytes
    ) -> AsyncIterator[Wire]:
        """A PATCH that has announced more than it has sent."""
        headers = {**self.offset_stream(offset), "Content-Length": announced}
        async with self.served.wire() as wire:
            await wire.send(self.head(f"PATCH {url}", headers), *pieces)
            yield wire

    async def cut_after(self, url: str, offset: int, sent: bytes, announced: int) -> None:
        """So many bytes arrive, then the link is gone."""
        async with self.sending(url, offset, announced, sent) as wire:
            await asyncio.sleep(0)
            wire.hang_up()

    async def offset_soon(self, url: str, wanted: int, within_s: float = 2.0) -> int:
        """What HEAD says at the latest after so many seconds."""
        deadline = asyncio.get_running_loop().time() + within_s
        while (offset := await self.offset(url)) != wanted:
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.02)
        return offset


def digest(body: bytes) -> str:
    return sha256(body).hexdigest()


async def row_of(door: Served, url: str) -> Upload:
    async with door.district.resources.sessions.read() as session:
        return await session.get_one(Upload, url.rsplit("/", 1)[1])


def refused(answer: Answer, status: int, code: str) -> None:
    assert answer.told == (status, code), answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["tus-resumable"] == "1.0.0"


async def object_of(door: Served, url: str) -> bytes:
    return door.district.store.objects[(await row_of(door, url)).object_key].body


async def reported(door: Served, body: bytes, **changes: object) -> tuple[str, str]:
    file = listed(body, **changes)
    return (await door.district.report(attachments=[file]))["id"], file["id"]


def created_by(raw: str) -> dict[str, Any]:
    return {"Upload-Length": 5, "Upload-Metadata": raw}
