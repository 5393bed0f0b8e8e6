"""A file's way into the object store: judged, hashed and counted while its bytes pass through.

No temporary file, no database connection; at most two parts of a file are held at a time.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from app.core.db import new_id
from app.core.disk import Disk
from app.core.object_store import ObjectMissing, ObjectStore, StoreUnavailable
from app.core.resources import Resources
from app.core.sealed_store import sealed_part_bytes
from app.media.checks import SNIFF_BYTES, Kind, judge, size_limit
from app.media.errors import FileTooLarge
from app.media.in_flight import BytesInFlight

_PATIENCE_S = 1.0
"""How long an answer waits for clean-up, which then goes on without it."""

log = structlog.get_logger()


class FileDiffers(Exception):  # noqa: N818 - names the fact
    """The bytes are not those of the manifest. The caller gathers the ids (AttachmentsDiffer)."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the manifest says of a file; None: not said. `sha256` in lower-case hex."""

    kind: Kind | None = None
    size: int | None = None
    sha256: str | None = None
    sealed: bool = False
    """Its bytes are to be encrypted at rest."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the store. `sha256` in hex, `size` in bytes as the store reports it."""

    object_key: str
    size: int
    sha256: str
    content_type: str
    kind: Kind


async def store(
    resources: Resources, incoming: AsyncIterable[bytes], expected: Expected | None = None
) -> StoredFile:
    """Write a file under a fresh key; when this raises, nothing of it is left (best effort).

    Raises MediaTypeRefused, FileTooLarge, FileDiffers, StoreUnavailable (StoreFull before the first
    byte is read), and whatever `incoming` raises. The caller removes (`remove`) what it stored when
    it fails later itself.
    """
    resources.the(Disk).check_files()
    expected = expected or Expected()
    first, rest = await _begin(incoming)
    content_type, kind = judge(first, expected.kind)
    limit = size_limit(kind, resources.settings.intake)
    key, size, sha256 = await _written(
        resources, _within(rest, limit, expected.size), content_type, expected
    )
    return StoredFile(key, size, sha256, content_type, kind)


async def stored_again(
    resources: Resources, chunks: AsyncIterable[bytes], content_type: str, *, sealed: bool
) -> str:
    """The key of the same bytes in another place; they were judged when they came.

    Raises StoreUnavailable, and whatever `chunks` raises; then nothing of it is left (best effort).
    """
    key, _, _ = await _written(resources, chunks, content_type, Expected(sealed=sealed))
    return key


async def _written(
    resources: Resources, chunks: AsyncIterable[bytes], content_type: str, expected: Expected
) -> tuple[str, int, str]:
    """Key, size and digest."""
    writing = _Writing(resources, content_type, sealed=expected.sealed)
    try:
        async for chunk in chunks:
            await writing.add(chunk)
        size, sha256 = await writing.finish(expected)
    except BaseException:
        await resources.the(Clearing).run(writing.discard())
        raise
    writing.release()
    return writing.key, size, sha256


def object_key(at: datetime, *, sealed: bool) -> str:
    """A fresh one."""
    return f"media/{'sealed/' if sealed else ''}{at:%Y/%m}/{new_id()}"


async def remove(resources: Resources, keys: Iterable[str]) -> None:
    """Delete objects that no row will name. What can't be deleted now is swept later."""
    await resources.the(Clearing).run(_delete(resources.store, tuple(keys)))


async def _delete(store: ObjectStore, keys: tuple[str, ...]) -> None:
    try:
        await store.delete(keys)
    except StoreUnavailable:
        log.warning("objects_left_for_the_sweeper", keys=keys)


class Clearing:
    """Runs clean-up to its end although the request it belongs to is being cancelled."""

    def __init__(self, resources: Resources) -> None:
        del resources  # the shape of everything kept in Resources
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="media-clearing")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # wait() leaves the task alone when its waiter is cancelled or has waited long enough
        await asyncio.wait({task}, timeout=_PATIENCE_S)


async def _begin(incoming: AsyncIterable[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """The first bytes, enough to judge the file, and the whole file from its start."""
    first = b""
    stream = aiter(incoming)
    while len(first) < SNIFF_BYTES:
        chunk = await anext(stream, None)
        if chunk is None:
            break
        first += chunk
    return first, _chained(first, stream)


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


async def _within(
    stream: AsyncIterator[bytes], limit: int, wanted: int | None
) -> AsyncIterator[bytes]:
    """The stream as long as it keeps within its limits. Raises FileTooLarge, FileDiffers."""
    total = 0
    async for chunk in stream:
        total += len(chunk)
        if total > limit:
            raise FileTooLarge(limit=limit)
        if wanted is not None and total > wanted:
            raise FileDiffers
        yield chunk


class _Writing:
    """One object being written: a single put, or parts that go out while the next one comes in."""

    def __init__(self, resources: Resources, content_type: str, *, sealed: bool) -> None:
        self.key = object_key(resources.clock.now(), sealed=sealed)
        self._store = resources.store
        self._in_flight = resources.the(BytesInFlight)
        self._content_type = content_type
        part_bytes = resources.settings.intake.part_bytes
        self._part_bytes = sealed_part_bytes(part_bytes) if sealed else part_bytes
        self._gathered: list[bytes] = []
        self._size = 0
        """Bytes gathered for the part that is not sent yet."""
        self._held = self._total = 0
        self._sha256 = hashlib.sha256()
        self._upload_id: str | None = None
        self._etags: list[str] = []
        self._sending: asyncio.Task[None] | None = None
        self._is_put = False

    async def add(self, chunk: bytes) -> None:
        while chunk:
            if self._size == self._part_bytes:  # and more follows: not a single put
                await self._send_gathered()
            room = self._part_bytes - self._size
            taken, chunk = chunk[:room], chunk[room:]
            await self._in_flight.take(len(taken))
            self._held += len(taken)
            self._total += len(taken)
            self._gathered.append(taken)
            self._size += len(taken)
            # a chunk has at most 64 KiB: hashed in some 50 µs, less than a thread would cost
            self._sha256.update(taken)

    async def finish(self, expected: Expected) -> tuple[int, str]:
        """Compare with the manifest, then make the object, then ask the store for its size."""
        last = self._sealed()
        sha256 = self._sha256.hexdigest()
        if expected.size not in {None, self._total} or expected.sha256 not in {None, sha256}:
            raise FileDiffers
        if self._upload_id is None:
            self._is_put = True
            await self._store.put(self.key, last, self._content_type)
        else:
            await self._sent()
            await self._send(self._upload_id, last)
            self._is_put = True
            await self._complete(self._upload_id)
        return await self._size_stored(), sha256

    async def discard(self) -> None:
        """Take back what was written, as far as the store can be asked."""
        try:
            await self._sent()
        except StoreUnavailable:
            log.debug("part_failed", key=self.key)
        self.release()
        try:
            if self._upload_id is not None:
                await self._store.abort_parts(self.key, self._upload_id)
            if self._is_put:
                await self._store.delete([self.key])
        except StoreUnavailable:
            log.warning("objects_left_for_the_sweeper", keys=(self.key,))

    def release(self) -> None:
        self._in_flight.give(self._held)
        self._held = 0

    def _sealed(self) -> bytes:
        """The gathered bytes as one."""
        body = b"".join(self._gathered)
        self._gathered.clear()
        self._size = 0
        return body

    async def _send_gathered(self) -> None:
        body = self._sealed()
        if self._upload_id is None:
            self._upload_id = await self._store.start_parts(self.key, self._content_type)
        await self._sent()
        self._sending = asyncio.create_task(self._send(self._upload_id, body))

    async def _sent(self) -> None:
        """Wait for the part under way. Raises what became of it."""
        if self._sending is not None:
            # a cancelled request leaves the part to `discard`, which must abort after it
            await asyncio.shield(self._sending)

    async def _send(self, upload_id: str, body: bytes) -> None:
        number = len(self._etags) + 1
        try:
            self._etags.append(await self._store.put_part(self.key, upload_id, number, body))
        except ObjectMissing as gone:
            raise StoreUnavailable("the upload is gone") from gone
        finally:
            self._in_flight.give(len(body))
            self._held -= len(body)

    async def _complete(self, upload_id: str) -> None:
        try:
            numbered = dict(enumerate(self._etags, 1))
            await self._store.complete_parts(self.key, upload_id, numbered)
        except ObjectMissing as gone:
            raise StoreUnavailable("the parts are gone") from gone

    async def _size_stored(self) -> int:
        """The size by the store's word. Raises StoreUnavailable when it isn't what was written."""
        try:
            size = await self._store.size(self.key)
        except ObjectMissing as gone:
            raise StoreUnavailable("the object is gone") from gone
        if size != self._total:
            log.error("store_reports_other_size", key=self.key, sent=self._total, stored=size)
            raise StoreUnavailable("the size differs")
        return size
