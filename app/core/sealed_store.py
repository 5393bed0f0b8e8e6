"""Objects that are encrypted at rest: those whose key has `/sealed/` in it, each under its own key.

Every 64 KiB are sealed by themselves (AES-256-GCM, numbered by their place), so that a range is
read without the rest of the object. Whoever reads or writes sees plain bytes and plain sizes.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.core.crypto import Keys
from app.core.object_store import ObjectMissing, ObjectStore, StoredObject, UnfinishedParts

CHUNK = 64 * 1024
_TAG, _NONCE = 16, 12
_STORED = CHUNK + _TAG
_MARK = "/sealed/"

log = structlog.get_logger()


def is_sealed(key: str) -> bool:
    return _MARK in key


class SealedStore:
    """A store around a store. Parts of a sealed object all have `part_bytes`, but for the last."""

    def __init__(self, store: ObjectStore, keys: Keys, part_bytes: int) -> None:
        self._store = store
        self._keys = keys
        self._part_bytes = sealed_part_bytes(part_bytes)

    async def put(self, key: str, body: bytes, content_type: str) -> None:
        await self._store.put(key, await self._closed(key, body, 0), content_type)

    async def put_part(self, key: str, upload_id: str, number: int, body: bytes) -> str:
        first = (number - 1) * self._part_bytes // CHUNK
        return await self._store.put_part(
            key, upload_id, number, await self._closed(key, body, first)
        )

    async def size(self, key: str) -> int:
        stored = await self._store.size(key)
        return stored - _TAG * -(-stored // _STORED) if is_sealed(key) else stored

    async def read(
        self, key: str, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """As ObjectStore says; bytes that are not what was written count as missing."""
        if not is_sealed(key):
            chunks = self._store.read(key, start, end)
        else:
            chunks = self._opened(key, start, end)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def _opened(self, key: str, start: int, end: int | None) -> AsyncGenerator[bytes, None]:
        number = start // CHUNK
        last = None if end is None else -(-end // CHUNK) * _STORED
        cipher, held, place = AESGCM(self._key(key)), b"", number * CHUNK
        async with aclosing(self._store.read(key, number * _STORED, last)) as stored:
            async for piece in _framed(stored):
                try:
                    held = cipher.decrypt(_nonce(number), piece, None)
                except InvalidTag as altered:
                    log.error("object_altered", key=key)  # noqa: TRY400 - the place is known
                    raise ObjectMissing(key) from altered
                stop = len(held) if end is None else min(len(held), end - place)
                yield held[max(start - place, 0) : stop]
                number, place = number + 1, place + CHUNK

    async def _closed(self, key: str, body: bytes, first: int) -> bytes:
        if not is_sealed(key):
            return body
        return await asyncio.to_thread(_sealed, self._key(key), body, first)

    def _key(self, key: str) -> bytes:
        return self._keys.once(f"object:{key}")

    async def prepare(self) -> None:
        await self._store.prepare()

    async def start_parts(self, key: str, content_type: str) -> str:
        return await self._store.start_parts(key, content_type)

    async def complete_parts(self, key: str, upload_id: str, etags: Mapping[int, str]) -> None:
        await self._store.complete_parts(key, upload_id, etags)

    async def abort_parts(self, key: str, upload_id: str) -> None:
        await self._store.abort_parts(key, upload_id)

    async def delete(self, keys: Sequence[str]) -> None:
        await self._store.delete(keys)

    def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """With the sizes as they are stored."""
        return self._store.list(prefix)

    def unfinished(self, prefix: str) -> AsyncIterator[UnfinishedParts]:
        return self._store.unfinished(prefix)

    async def close(self) -> None:
        await self._store.close()


def sealed_part_bytes(part_bytes: int) -> int:
    """Whole chunks only: a part begins where a chunk begins."""
    return part_bytes - part_bytes % CHUNK


def _nonce(place: int) -> bytes:
    """A key is used for one object only, and a place in it for one chunk."""
    return place.to_bytes(_NONCE)


def _sealed(key: bytes, body: bytes, first: int) -> bytes:
    cipher = AESGCM(key)
    return b"".join(
        cipher.encrypt(_nonce(first + place), body[start : start + CHUNK], None)
        for place, start in enumerate(range(0, len(body), CHUNK))
    )


async def _framed(stored: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whole sealed chunks, whatever the store's own pieces are."""
    held = bytearray()
    async for piece in stored:
        held += piece
        while len(held) >= _STORED:
            yield bytes(held[:_STORED])
            del held[:_STORED]
    if held:
        yield bytes(held)
