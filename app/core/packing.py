"""Content-Encoding of requests: gzip on JSON within limits, nothing else (M15)."""

import zlib
from collections.abc import AsyncIterator

from app.core.errors import (
    CompressedTooMuch,
    ContentEncodingRefused,
    MalformedEncoding,
    PayloadTooLarge,
)
from app.core.settings import IntakeSettings

_PLAIN = "identity"
_MAX_RATIO = 50
_GZIP = 31
"""zlib's name for: a gzip header, the largest window."""


def demand_plain(content_encoding: str | None) -> None:
    """For bodies that are not JSON. Raises ContentEncodingRefused."""
    if _named(content_encoding) != _PLAIN:
        raise ContentEncodingRefused(headers={"Accept-Encoding": _PLAIN})


def _named(content_encoding: str | None) -> str:
    return (content_encoding or _PLAIN).strip().lower()


async def json_body(
    stream: AsyncIterator[bytes], content_encoding: str | None, limits: IntakeSettings
) -> bytes:
    """The bytes of a JSON body, unpacked, at most `limits.json_bytes` before and after.

    Raises ContentEncodingRefused, PayloadTooLarge, CompressedTooMuch, MalformedEncoding.
    """
    encoding = _named(content_encoding)
    if encoding == _PLAIN:
        return await _plain(stream, limits.json_bytes)
    if encoding == "gzip":
        return await _unpacked(stream, limits.json_bytes)
    raise ContentEncodingRefused(headers={"Accept-Encoding": f"gzip, {_PLAIN}"})


async def _plain(stream: AsyncIterator[bytes], limit: int) -> bytes:
    gathered = bytearray()
    async for chunk in stream:
        gathered += chunk
        if len(gathered) > limit:
            raise PayloadTooLarge(limit=limit)
    return bytes(gathered)


async def _unpacked(stream: AsyncIterator[bytes], limit: int) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    received, body = 0, bytearray()
    async for chunk in stream:
        received += len(chunk)
        if received > limit:
            raise PayloadTooLarge(limit=limit)
        try:
            # one byte more than allowed is enough to know
            body += unpacker.decompress(unpacker.unconsumed_tail + chunk, limit + 1 - len(body))
        except zlib.error as broken:
            raise MalformedEncoding from broken
        if len(body) > limit:
            raise PayloadTooLarge(limit=limit)
    if not unpacker.eof or unpacker.unused_data:
        raise MalformedEncoding
    if len(body) > _MAX_RATIO * received:
        raise CompressedTooMuch(limit=_MAX_RATIO)
    return bytes(body)
