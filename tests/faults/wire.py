"""Requests byte by byte, and answers as far as they came."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from app.core.clock import SystemClock
from app.simulation.ledger import LedgerFile
from app.simulation.reports import Camera, MadeReport, make_report, quick_camera
from tests.district import PASSWORD, YONGHONG_GRID

ANSWER_S = 15.0


@dataclass(frozen=True)
class Answer:
    """A whole one: all the bytes that its head announces."""

    status: int
    headers: dict[str, str]
    body: bytes
    size: int
    """Bytes on the wire."""

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.body)
        return found


async def token(url: str, username: str = "worker-yonghong") -> str:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=ANSWER_S) as client:
        form = {"grant_type": "password", "username": username, "password": PASSWORD}
        answer = await client.post("/v1/token", data=form)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def new_report(number: int, photos: int = 1, camera: Camera = quick_camera) -> MadeReport:
    taken = [camera(number * 16 + position) for position in range(photos)]
    return make_report(number, taken, SystemClock().now(), YONGHONG_GRID)


def posting(made: MadeReport, token: str) -> bytes:
    return _request("POST", "/v1/incidents", made.content_type, made.multipart(), token)


def putting(made: MadeReport, position: int, token: str) -> bytes:
    photo = made.photos[position]
    path = f"/v1/incidents/{made.id}/attachments/{photo.id}"
    return _request("PUT", path, "image/jpeg", photo.body, token)


def _request(method: str, path: str, content_type: str, body: bytes, token: str) -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: etong.test\r\nConnection: close\r\n"
        f"Authorization: Bearer {token}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def send(url: str, request: bytes) -> Answer | None:
    """None where the answer did not come, or not whole."""
    target = httpx.URL(url)
    came = b""
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection(target.host, target.port)
            with suppress(OSError):
                writer.write(request)
                await writer.drain()
            with suppress(OSError):
                while chunk := await reader.read(65536):
                    came += chunk
            writer.close()
    except (OSError, TimeoutError):
        return None
    return _parsed(came)


async def answers(url: str) -> bool:
    """Whether there is a server at all: it is asked nothing that it would have to look up."""
    request = b"GET /health/live HTTP/1.1\r\nHost: etong.test\r\nConnection: close\r\n\r\n"
    return await send(url, request) is not None


async def send_until_answered(url: str, request: bytes, tries: int = 20) -> Answer:
    """The same bytes again, as a phone does, until the answer is one to keep."""
    for attempt in range(tries):
        answer = await send(url, request)
        if answer is not None and answer.status < 500:
            return answer
        await asyncio.sleep(0.1 * attempt)
    raise AssertionError(f"no answer in {tries} tries, last: {answer}")


def note(ledger: LedgerFile, made: MadeReport, answer: Answer) -> None:
    """Into the ledger: what the answer said, with the phone's own digests."""
    assert answer.status in {200, 201}, answer.body
    stored = {item["id"] for item in answer.json["attachments"] if item["state"] == "stored"}
    files = {photo.id: photo.sha256 for photo in made.photos if str(photo.id) in stored}
    ledger.receipt(made.id, answer.json["number"], files)


def _parsed(came: bytes) -> Answer | None:
    head, separator, body = came.partition(b"\r\n\r\n")
    if not separator:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    if len(body) < int(headers.get("content-length", 0)):
        return None
    return Answer(int(first.split()[1]), headers, body, len(came))
