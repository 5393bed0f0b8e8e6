"""Multipart bodies as clients write them, and what our parser makes of them."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from app.core.settings import IntakeSettings
from app.media.multipart import parts

BOUNDARY = "----etong7MA4YWxk"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
LIMITS = IntakeSettings()


@dataclass(frozen=True)
class Seen:
    name: str
    filename: str | None
    content_type: str
    body: bytes


def part(disposition: str | bytes, body: bytes = b"", *headers: str) -> bytes:
    raw = disposition if isinstance(disposition, bytes) else disposition.encode()
    lines = [b"Content-Disposition: form-data; " + raw, *(line.encode() for line in headers)]
    return b"\r\n".join([*lines, b"", body])


def body_of(*sections: bytes, boundary: str = BOUNDARY) -> bytes:
    mark = b"--" + boundary.encode()
    return b"".join(mark + b"\r\n" + section + b"\r\n" for section in sections) + mark + b"--\r\n"


async def stream(body: bytes, cuts: Iterable[int] = ()) -> AsyncIterator[bytes]:
    """The body in pieces that end at `cuts`."""
    start = 0
    for cut in [*sorted(set(cuts)), len(body)]:
        if start < cut <= len(body):
            yield body[start:cut]
            start = cut


async def parsed(
    body: bytes,
    content_type: str = CONTENT_TYPE,
    limits: IntakeSettings = LIMITS,
    cuts: Iterable[int] = (),
) -> list[Seen]:
    seen = []
    async for found in parts(content_type, stream(body, cuts), limits):
        content = b"".join([chunk async for chunk in found])
        seen.append(Seen(found.name, found.filename, found.content_type, content))
    return seen


def parse(
    body: bytes,
    content_type: str = CONTENT_TYPE,
    limits: IntakeSettings = LIMITS,
    cuts: Iterable[int] = (),
) -> list[Seen]:
    """`parsed` for tests that are not coroutines; never waits longer than 10 s."""
    return asyncio.run(asyncio.wait_for(parsed(body, content_type, limits, cuts), 10))
