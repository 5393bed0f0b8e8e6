"""Finishing an upload whose bytes are all in the store: made one object, verified, settled.

Every step can be repeated by any process: a finish cut short is taken up by the next request.
"""

import asyncio
import hashlib
from contextlib import aclosing
from typing import Protocol, get_args
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Problem
from app.core.object_store import ObjectMissing, ObjectStore, StoreUnavailable
from app.core.resources import Resources
from app.media.checks import Kind, judge, size_limit
from app.media.errors import DigestMismatch, FileTooLarge
from app.media.holding import Fenced, Hold
from app.media.models import Upload
from app.media.storing import Clearing, StoredFile, remove
from app.media.upload_errors import UploadLost
from app.media.writing import Digests, Writing

log = structlog.get_logger()


class Settling(Protocol):
    """What becomes of a finished file; both join the transaction that ends the upload."""

    async def take(self, session: AsyncSession, upload: Upload, stored: StoredFile) -> UUID | None:
        """Check once more that it may, and write its rows. The file's id; None: not needed.

        Raises the problem it is rejected for, or NotNow.
        """
        ...

    async def refuse(self, session: AsyncSession, upload: Upload) -> None:
        """Tell whoever waits for the file that this one was rejected."""


class NotNow(Exception):  # noqa: N818 - names the fact
    """Who asks may not finish it; somebody else may. `problem` is what they are told."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def is_whole(upload: Upload) -> bool:
    """All its bytes are in the store, and nobody has decided about them."""
    return upload.state in {"receiving", "verifying"} and upload.received == upload.length


async def finish(resources: Resources, hold: Hold, settling: Settling) -> None:
    """Returns with the file stored. Raises the problem it was rejected for, or that of NotNow.

    StoreUnavailable and Fenced leave everything as it is: it can be finished later.
    """
    async with hold.leased():
        if hold.upload.state == "receiving":
            await _seal(resources, hold)
        try:
            stored = await _verified(resources, hold.upload)
            needed = await _settle(resources, hold, settling, stored)
        except NotNow as later:
            raise later.problem from later
        except Problem as refusal:
            await reject(resources, hold, settling, refusal)
            raise
    if not needed:
        await remove(resources, [stored.object_key])
    log.info("upload_stored", upload=hold.upload.id[:8], size=stored.size)


async def _seal(resources: Resources, hold: Hold) -> None:
    writing = Writing(resources, hold)
    try:
        await writing.save()
    finally:
        writing.release()


async def _verified(resources: Resources, upload: Upload) -> StoredFile:
    """Raises UploadLost, MediaTypeRefused, FileTooLarge, DigestMismatch, StoreUnavailable."""
    await _assemble(resources.store, upload)
    kind = upload.kind if upload.kind in get_args(Kind) else None
    content_type, found = judge(upload.head, kind)  # type: ignore[arg-type]  # looked up in the line above
    limit = size_limit(found, resources.settings.intake)
    if upload.received > limit:
        raise FileTooLarge(limit=limit)
    digest = resources.the(Digests).at(upload.id, upload.received)
    sha256 = digest.digest() if digest else await _read_back(resources.store, upload)
    if upload.sha256 not in {None, sha256}:
        raise DigestMismatch
    return StoredFile(upload.object_key, upload.received, sha256.hex(), content_type, found)


async def _assemble(store: ObjectStore, upload: Upload) -> None:
    """One object of all parts, of the size by the store's word. Safe to repeat."""
    try:
        if upload.parts_id is not None:
            etags = {number: etag for number, etag, _ in upload.parts}
            await store.complete_parts(upload.object_key, upload.parts_id, etags)
        size = await store.size(upload.object_key)
    except ObjectMissing as missing:
        raise UploadLost from missing
    if size != upload.received:
        log.error(
            "store_reports_other_size", key=upload.object_key, sent=upload.received, stored=size
        )
        raise StoreUnavailable("the size differs")


async def _read_back(store: ObjectStore, upload: Upload) -> bytes:
    """Several processes wrote it, and the state of a digest can't be handed on."""
    digest = hashlib.sha256()
    size = 0
    try:
        async with aclosing(store.read(upload.object_key)) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(digest.update, chunk)
                size += len(chunk)
    except ObjectMissing as missing:
        raise UploadLost from missing
    if size != upload.received:
        raise StoreUnavailable("the object was not read to its end")
    return digest.digest()


async def _settle(resources: Resources, hold: Hold, settling: Settling, stored: StoredFile) -> bool:
    """Whether the object is needed: the file may have come another way meanwhile."""
    async with resources.sessions.begin() as session:
        upload = await _locked(session, hold)
        upload.media_id = await settling.take(session, upload, stored)
        upload.state = "stored"
        _let_go(upload)
        needed = upload.media_id is not None
    hold.upload.state = "stored"
    hold.upload.incident_id, hold.upload.media_id = upload.incident_id, upload.media_id
    hold.upload.held, hold.upload.wanted = False, upload.wanted
    return needed


def _let_go(upload: Upload) -> None:
    """In the transaction that decides about it: nobody has to come back for that."""
    upload.held, upload.leased_until = False, None


async def reject(resources: Resources, hold: Hold, settling: Settling, refusal: Problem) -> None:
    """First the row says so, then the bytes go: a row never names what is not there."""
    async with resources.sessions.begin() as session:
        upload = await _locked(session, hold)
        upload.state, upload.refusal, upload.tail = "rejected", refusal.code, []
        _let_go(upload)
        await settling.refuse(session, upload)
    hold.upload.state, hold.upload.refusal = "rejected", refusal.code
    hold.upload.held, hold.upload.wanted = False, upload.wanted
    await discard(resources, hold.upload)
    log.info("upload_rejected", upload=hold.upload.id[:8], code=refusal.code)


async def _locked(session: AsyncSession, hold: Hold) -> Upload:
    """Its row, locked. Raises Fenced."""
    upload: Upload | None = await session.scalar(
        select(Upload)
        .where(Upload.id == hold.upload.id, Upload.fence == hold.upload.fence)
        .with_for_update()
    )
    if upload is None:
        raise Fenced
    return upload


async def discard(resources: Resources, upload: Upload) -> None:
    """Take its bytes out of the store, as far as the store can be asked; the rest is swept."""
    await resources.the(Clearing).run(_discard(resources.store, upload))


async def _discard(store: ObjectStore, upload: Upload) -> None:
    try:
        if upload.parts_id is not None:
            await store.abort_parts(upload.object_key, upload.parts_id)
        await store.delete([upload.object_key, *(key for key, _ in upload.tail)])
    except StoreUnavailable:
        log.warning("objects_left_for_the_sweeper", keys=(upload.object_key,))
