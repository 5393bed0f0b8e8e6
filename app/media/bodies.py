"""A body on the wire against the digest its own request names (M9)."""

import binascii
import hashlib
import hmac
import re
from base64 import b64decode
from collections.abc import AsyncIterator

from app.media.errors import DigestMalformed, DigestMismatch

_SHA256 = re.compile(r"\s*sha-256\s*=\s*:([A-Za-z0-9+/=]*):\s*(?:;.*)?", re.IGNORECASE)


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
