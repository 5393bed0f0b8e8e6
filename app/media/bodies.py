"""Whole bodies on the wire: gzip on JSON within limits (M15), and the request's own digest (M9)."""

import binascii
import hashlib
import hmac
import re
import zlib
from base64 import b64decode
from collections.abc import AsyncIterator

from app.core.errors import PayloadTooLarge
from app.core.settings import IntakeSettings
from app.media.errors import (
    CompressedTooMuch,
    ContentEncodingRefused,
    DigestMalformed,
    DigestMismatch,
    MalformedEncoding,
)

_MAX_RATIO = 50
_GZIP = 31
"""zlib's name for: a gzip header, the largest window."""
_SHA256 = re.compile(r"\s*sha-256\s*=\s*:([A-Za-z0-9+/=]*):\s*(?:;.*)?", re.IGNORECASE)


async def json_body(
    stream: AsyncIterator[bytes], content_encoding: str | None, limits: IntakeSettings
) -> bytes:
    """The bytes of a JSON body, unpacked, at most `limits.json_bytes` before and after.

    Raises ContentEncodingRefused, PayloadTooLarge, CompressedTooMuch, MalformedEncoding.
    """
    encoding = (content_encoding or "identity").strip().lower()
    if encoding == "identity":
        return await _plain(stream, limits.json_bytes)
    if encoding == "gzip":
        return await _unpacked(stream, limits.json_bytes)
    raise ContentEncodingRefused(headers={"Accept-Encoding": "gzip, identity"})


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


def digested(stream: AsyncIterator[bytes], content_digest: str | None) -> AsyncIterator[bytes]:
    """The same stream, that ends with DigestMismatch where `Content-Digest` says otherwise.

    RFC 9530; other algorithms than sha-256 are not for us to judge. Raises DigestMalformed.
    """
    wanted = _sha256_of(content_digest)
    return stream if wanted is None else _checked(stream, wanted)


def _sha256_of(content_digest: str | None) -> bytes | None:
    for member in (content_digest or "").split(","):
        if not member.strip().lower().startswith("sha-256"):
            continue
        match = _SHA256.fullmatch(member)
        try:
            digest = b64decode(match[1], validate=True) if match else b""
        except binascii.Error as broken:
            raise DigestMalformed from broken
        if len(digest) != hashlib.sha256().digest_size:
            raise DigestMalformed
        return digest
    return None


async def _checked(stream: AsyncIterator[bytes], wanted: bytes) -> AsyncIterator[bytes]:
    # a network chunk has at most 64 KiB: hashed here in some 50 µs, less than a thread would cost
    seen = hashlib.sha256()
    async for chunk in stream:
        seen.update(chunk)
        yield chunk
    if not hmac.compare_digest(seen.digest(), wanted):
        raise DigestMismatch
