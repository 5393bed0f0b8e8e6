"""The object store's double: the same promises, in memory, with the faults a real one has."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.core.clock import Clock, SystemClock
from app.core.object_store import (
    MIN_PART_BYTES,
    ObjectMissing,
    StoredObject,
    StoreUnavailable,
    UnfinishedParts,
)

_CHUNK = 64 * 1024


@dataclass
class MemoryObject:
    body: bytes
    content_type: str
    modified_at: datetime


@dataclass
class _Upload:
    key: str
    content_type: str
    started_at: datetime
    parts: dict[int, bytes] = field(default_factory=dict)


class MemoryStore:
    """Tests look into `objects` and `uploads`, and set the faults below at any time."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self.objects: dict[str, MemoryObject] = {}
        self.uploads: dict[str, _Upload] = {}
        self.calls = 0
        self.down = False
        """Every call is refused."""
        self.fail_every = 0
        """Every k-th call is refused; 0: none."""
        self.size_lie = 0
        """Added to every size reported."""
        self.gate: asyncio.Event | None = None
        """A slow store: every call waits for it."""
        self.calls_waiting = 0
        """How many wait at the gate."""

    async def prepare(self) -> None:
        await self._call()

    async def put(self, key: str, body: bytes, content_type: str) -> None:
        await self._call()
        self._keep(key, bytes(body), content_type)

    async def start_parts(self, key: str, content_type: str) -> str:
        await self._call()
        upload_id = f"upload-{self.calls}"
        self.uploads[upload_id] = _Upload(_ascii(key), content_type, self._clock.now())
        return upload_id

    async def put_part(self, key: str, upload_id: str, number: int, body: bytes) -> str:
        await self._call()
        if upload_id not in self.uploads:
            raise ObjectMissing(key)
        self.uploads[upload_id].parts[number] = bytes(body)
        return _etag(body)

    async def complete_parts(self, key: str, upload_id: str, etags: Mapping[int, str]) -> None:
        await self._call()
        upload = self.uploads.get(upload_id)
        if upload is None:
            self._object(key)
            return
        parts = [upload.parts.get(number, b"") for number in sorted(etags)]
        if [_etag(part) for part in parts] != [etags[number] for number in sorted(etags)]:
            raise StoreUnavailable("InvalidPart")
        if any(len(part) < MIN_PART_BYTES for part in parts[:-1]):
            raise StoreUnavailable("EntityTooSmall")
        self._keep(key, b"".join(parts), upload.content_type)
        del self.uploads[upload_id]

    async def abort_parts(self, key: str, upload_id: str) -> None:  # noqa: ARG002 - the protocol's shape
        await self._call()
        self.uploads.pop(upload_id, None)

    async def size(self, key: str) -> int:
        await self._call()
        return len(self._object(key).body) + self.size_lie

    async def read(
        self, key: str, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        await self._call()
        wanted = self._object(key).body[start:end]
        for offset in range(0, len(wanted), _CHUNK):
            yield wanted[offset : offset + _CHUNK]

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            await self._call()
            self.objects.pop(key, None)

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        await self._call()
        for key, found in sorted(self.objects.items()):
            if key.startswith(prefix):
                yield StoredObject(key, len(found.body), found.modified_at)

    async def unfinished(self, prefix: str) -> AsyncIterator[UnfinishedParts]:
        await self._call()
        for upload_id, upload in sorted(self.uploads.items()):
            if upload.key.startswith(prefix):
                yield UnfinishedParts(upload.key, upload_id, upload.started_at)

    async def close(self) -> None:
        """Nothing is open."""

    async def _call(self) -> None:
        """What every request to a store goes through."""
        self.calls += 1
        refused = self.down or (self.fail_every and self.calls % self.fail_every == 0)
        await (self._at_the_gate(self.gate) if self.gate else asyncio.sleep(0))
        if refused:
            raise StoreUnavailable("injected")

    async def _at_the_gate(self, gate: asyncio.Event) -> None:
        self.calls_waiting += 1
        try:
            await gate.wait()
        finally:
            self.calls_waiting -= 1

    def _keep(self, key: str, body: bytes, content_type: str) -> None:
        self.objects[_ascii(key)] = MemoryObject(body, content_type, self._clock.now())

    def _object(self, key: str) -> MemoryObject:
        if key not in self.objects:
            raise ObjectMissing(key)
        return self.objects[key]


def _ascii(key: str) -> str:
    if not key.isascii():
        raise ValueError(f"object keys are ASCII, not {key!r}")
    return key


def _etag(body: bytes) -> str:
    return '"' + hashlib.md5(body, usedforsecurity=False).hexdigest() + '"'
