"""Requests and answers of a real run, written down so that the same run gives the same bytes."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import httpx
from fastapi import FastAPI

Json = dict[str, Any]

SHOWN_REQUEST_HEADERS = (
    "content-type",
    "content-digest",
    "client-time",
    "if-match",
    "if-none-match",
    "idempotency-key",
    "last-event-id",
)
SHOWN_ANSWER_HEADERS = (
    "content-type",
    "content-language",
    "location",
    "etag",
    "link",
    "idempotency-replayed",
    "retry-after",
    "www-authenticate",
    "cache-control",
)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_SECRETS = (
    (re.compile(r'"(access_token|refresh_token|next|cursor)": "[^"]+"'), r'"\1": "eyJ…"'),
    (re.compile(r"signature=[A-Za-z0-9_-]+"), "signature=…"),
    (re.compile(r"(refresh_token|cursor)=[^&\"\\]+"), r"\1=eyJ…"),
    (re.compile(r"retry: [0-9]+"), "retry: 5000"),
)
_TAG = re.compile(r"\b[0-9a-f]{32}\b")
"""Of a content: another build's settings or seeds give another one."""
_CHAIN = re.compile(r'"((?:previous_)?hash)": "([0-9a-f]{64})"')


class Recorder:
    """Examples by name, in the order in which they happened."""

    def __init__(self) -> None:
        self.examples: dict[str, Json] = {}

    def keep(self, name: str, title: str, answer: httpx.Response) -> httpx.Response:
        """Write the answer and its request down. Raises KeyError for a name that is taken."""
        request = answer.request
        self.put(
            name,
            title,
            {
                "method": request.method,
                "path": request.url.raw_path.decode(),
                "headers": _shown(request.headers, SHOWN_REQUEST_HEADERS),
                "body": _body(request.headers.get("content-type", ""), request.read()),
            },
            {
                "status": answer.status_code,
                "headers": _shown(answer.headers, SHOWN_ANSWER_HEADERS),
                "body": _body(answer.headers.get("content-type", ""), answer.content),
            },
        )
        return answer

    def put(self, name: str, title: str, request: Json, answer: Json) -> None:
        if name in self.examples:
            raise KeyError(name)
        self.examples[name] = {"title": title, "request": request, "response": answer}

    def stable(self) -> dict[str, Json]:
        """With made-up ids, tokens and signatures that are the same in every run."""
        text = json.dumps(self.examples, ensure_ascii=False)
        for pattern, replacement in _SECRETS:
            text = pattern.sub(replacement, text)
        text = _UUID.sub(_numbered("0193c2f0-0000-7000-8000-{:012x}"), text)
        text = _TAG.sub(_numbered("{:032x}"), text)
        hashes = _numbered("{:064x}", {"0" * 64: "0" * 64})
        text = _CHAIN.sub(lambda m: f'"{m[1]}": "{hashes(re.match(r"(.*)", m[2]))}"', text)
        stable: dict[str, Json] = json.loads(text)
        return stable


def _numbered(
    shape: str, known: Mapping[str, str] | None = None
) -> Callable[[re.Match[str] | None], str]:
    given = dict(known or {})

    def named(match: re.Match[str] | None) -> str:
        assert match is not None
        return given.setdefault(match[0], shape.format(len(given) + 1))

    return named


def _shown(headers: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    shown = {name: headers[name] for name in names if name in headers}
    if "authorization" in headers:
        return {"authorization": headers["authorization"].partition(" ")[0] + " …", **shown}
    return shown


def _body(kind: str, content: bytes) -> Any:
    if not content:
        return None
    if "json" in kind:
        return json.loads(content)
    if kind.startswith(("text/", "application/x-www-form-urlencoded")):
        return content.decode()
    if kind.startswith("multipart/"):
        return _parts(content)
    return f"({len(content)} bytes)"


def _parts(content: bytes) -> list[Json]:
    """Each part's headers and text; of a file only its length."""
    boundary = content.partition(b"\r\n")[0]
    shown = []
    for part in content.split(boundary)[1:-1]:
        head, _, body = part.strip(b"\r\n").partition(b"\r\n\r\n")
        is_json = b"application/json" in head
        shown.append(
            {
                "headers": head.decode().split("\r\n"),
                "body": json.loads(body) if is_json else f"({len(body)} bytes)",
            }
        )
    return shown


async def listen(app: FastAPI, path: str, headers: Mapping[str, str], until: bytes) -> str:
    """What a stream sends until it has sent `until`; then the client goes away."""
    received = bytearray()
    enough = asyncio.Event()
    body = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Json:
        for message in body:
            return message
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Json) -> None:
        received.extend(message.get("body", b""))
        if until in received:
            enough.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("etong.test", 80),
    }
    task = asyncio.create_task(app(scope, receive, send))  # type: ignore[arg-type]  # an ASGI message
    async with asyncio.timeout(10):
        await enough.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return received.decode()
