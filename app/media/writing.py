"""Writing an upload: full parts go out while the next one comes in, the rest is a tail.

A row names only what the store has acknowledged, and the old tail is deleted after that. Keys of
tails and numbers of parts are used for one try only, so that no late write replaces another.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import aclosing
from datetime import timedelta
from math import ceil
from typing import Any

from app.core.db import new_id
from app.core.object_store import MIN_PART_BYTES, ObjectMissing, StoreUnavailable
from app.core.resources import Resources
from app.media.checks import SNIFF_BYTES, sniff
from app.media.holding import Hold
from app.media.in_flight import BytesInFlight
from app.media.storing import remove
from app.media.upload_errors import UploadLost

_MOST_PARTS = 9000
"""S3 takes 10,000: the rest is for numbers that were tried in vain."""
_MOST_TAILS = 32
ON_THE_LOOP = 256 * 1024
"""The most that is hashed at a time where others would wait for it (U11)."""
_BYTES = "application/octet-stream"


class Digests:
    """SHA-256 of uploads of which this process has seen every byte; `resources.the(Digests)`."""

    _MOST = 2000

    def __init__(self, resources: Resources) -> None:
        del resources  # the shape of everything kept in Resources
        self._kept: OrderedDict[str, tuple[int, Any]] = OrderedDict()

    def at(self, upload_id: str, offset: int) -> Any | None:  # noqa: ANN401 - hashlib names no type
        """The digest of the first `offset` bytes, to go on with; None: they are not known."""
        kept = self._kept.pop(upload_id, None)
        if kept is not None and kept[0] == offset:
            return kept[1]
        return hashlib.sha256() if offset == 0 else None

    def keep(self, upload_id: str, offset: int, digest: Any) -> None:  # noqa: ANN401 - as above
        self._kept[upload_id] = (offset, digest)
        if len(self._kept) > self._MOST:
            self._kept.popitem(last=False)


def fresh_key(resources: Resources) -> str:
    return f"media/{resources.clock.now():%Y/%m}/{new_id()}"


async def read_tail(resources: Resources, tail: Sequence[Sequence[Any]]) -> bytes:
    """Raises UploadLost, StoreUnavailable."""
    whole = bytearray()
    for key, size in tail:
        before = len(whole)
        try:
            async with aclosing(resources.store.read(key)) as chunks:
                async for chunk in chunks:
                    whole += chunk
        except ObjectMissing as missing:
            raise UploadLost from missing
        if len(whole) - before != size:
            raise StoreUnavailable("the tail differs in size")
    return bytes(whole)


class Writing:
    """The bytes of one request on their way into the store."""

    def __init__(self, resources: Resources, hold: Hold) -> None:
        self._resources = resources
        self._store = resources.store
        self._in_flight = resources.the(BytesInFlight)
        self._hold = hold
        upload = hold.upload
        self.length = upload.length
        limit = resources.settings.uploads.max_bytes if self.length is None else self.length
        self._most = limit
        self._part_bytes = max(resources.settings.intake.part_bytes, ceil(limit / _MOST_PARTS))
        self._offset = upload.received
        """Of what came, stored or not."""
        self._tail = sum(size for _, size in upload.tail)
        self._gathered: list[bytes] = []
        self._size = self._held = self._tails = 0
        self._head = upload.head
        self._sha256 = resources.the(Digests).at(upload.id, upload.received)
        self._sending: asyncio.Task[None] | None = None

    def overflows(self, size: int) -> bool:
        return self._offset + size > self._most

    async def add(self, chunk: bytes) -> None:
        while chunk:
            room = self._part_bytes - self._tail - self._size
            if room <= 0:  # and more follows: it is not the last part
                await self._send_gathered()
                continue
            taken, chunk = chunk[:room], chunk[room:]
            await self._in_flight.take(len(taken))
            self._held += len(taken)
            self._gathered.append(taken)
            self._size += len(taken)
            self._offset += len(taken)
            if len(self._head) < SNIFF_BYTES:
                self._head = (self._head + taken)[:SNIFF_BYTES]
            if self._sha256 is not None:
                await _update(self._sha256, taken)

    async def save(self) -> None:
        """Bring everything gathered into the store; the last byte makes the file one object.

        Raises StoreUnavailable, UploadLost, Fenced.
        """
        await self._sent()
        if self._offset == self.length and self._hold.upload.state == "receiving":
            await self._seal()
        elif self._size:
            await self._keep_rest()
        if self._sha256 is not None:
            self._resources.the(Digests).keep(self._hold.upload.id, self._offset, self._sha256)

    async def give_up(self) -> None:
        """Forget what was gathered, once the part under way has come through or failed."""
        await self._sent()
        self._sealed()

    def release(self) -> None:
        self._in_flight.give(self._held)
        self._held = 0

    async def _keep_rest(self) -> None:
        whole = self._tail + self._size
        least = self._part_bytes if self._resources.settings.uploads.equal_parts else MIN_PART_BYTES
        if whole >= least:
            await self._put_part(self._sealed())
        else:
            await self._put_tail(self._sealed())

    async def _put_tail(self, body: bytes) -> None:
        upload = self._hold.upload
        old = list(upload.tail) if len(upload.tail) >= _MOST_TAILS else []
        merged = await read_tail(self._resources, old) + body
        key = f"{upload.object_key}.{upload.fence}-{self._tails}.part"
        self._tails += 1
        await self._store.put(key, merged, _BYTES)
        tail = [*([] if old else upload.tail), [key, len(merged)]]
        await self._advance(len(body), tail=tail)
        self._tail = sum(size for _, size in tail)
        await self._delete(old)

    async def _send_gathered(self) -> None:
        await self._sent()
        body = self._sealed()
        self._tail = 0
        self._sending = asyncio.create_task(self._put_part(body), name="upload-part")

    async def _sent(self) -> None:
        """Wait for the part under way. Raises what became of it."""
        sending, self._sending = self._sending, None
        if sending is not None:
            await asyncio.shield(sending)

    async def _put_part(self, body: bytes, **more: Any) -> None:  # noqa: ANN401 - columns of the row
        upload = self._hold.upload
        old = list(upload.tail)
        try:
            whole = await read_tail(self._resources, old) + body
            parts_id = upload.parts_id or await self._begin_parts()
            number, upload.next_part = upload.next_part, upload.next_part + 1
            etag = await self._store.put_part(upload.object_key, parts_id, number, whole)
        except ObjectMissing as gone:
            raise UploadLost from gone
        finally:
            self._in_flight.give(len(body))
            self._held -= len(body)
        parts = [*upload.parts, [number, etag, len(whole)]]
        await self._advance(
            len(body),
            parts=parts, tail=[], next_part=upload.next_part, **more,
        )  # fmt: skip
        await self._delete(old)

    async def _begin_parts(self) -> str:
        """Written down at once: the next try has it, and so has whoever ends the upload."""
        upload = self._hold.upload
        kind = content_type_of(self._head)
        parts_id = await self._store.start_parts(upload.object_key, kind)
        await self._hold.save(parts_id=parts_id)
        return parts_id

    async def _seal(self) -> None:
        """Everything is there: one object, or its last part. It is verified next, by us alone."""
        upload = self._hold.upload
        done = {"state": "verifying", "leased_until": self._hold.lease_end()}
        if upload.parts_id is not None:
            if self._size or upload.tail:
                await self._put_part(self._sealed(), **done)
            else:
                await self._advance(0, **done)
            return
        old, body = list(upload.tail), self._sealed()
        whole = await read_tail(self._resources, old) + body
        key = fresh_key(self._resources)
        await self._store.put(key, whole, content_type_of(self._head))
        await self._advance(len(body), object_key=key, tail=[], **done)
        await self._delete(old)

    async def _advance(self, size: int, **values: Any) -> None:  # noqa: ANN401 - columns of the row
        """Count what the store has acknowledged, and begin the time to its end anew."""
        settings = self._resources.settings.uploads
        await self._hold.save(
            received=self._hold.upload.received + size,
            head=self._head,
            expires_at=self._resources.clock.now() + timedelta(seconds=settings.expires_s),
            **values,
        )

    async def _delete(self, tail: Sequence[Sequence[Any]]) -> None:
        if tail:
            await remove(self._resources, [key for key, _ in tail])

    def _sealed(self) -> bytes:
        """The gathered bytes as one."""
        body = b"".join(self._gathered)
        self._gathered.clear()
        self._size = 0
        return body


def content_type_of(head: bytes) -> str:
    found = sniff(head)
    return found.name if found else _BYTES


async def _update(digest: Any, chunk: bytes) -> None:  # noqa: ANN401 - hashlib names no type
    if len(chunk) > ON_THE_LOOP:
        await asyncio.to_thread(digest.update, chunk)
    else:  # some 50 µs for what the network brings at a time, less than a thread would cost
        digest.update(chunk)
