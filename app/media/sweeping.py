"""Sweeping: objects that no row names, and multipart uploads that nobody will finish (M11, F11).

A row always names an object that was written before it, so an object without a row is either
younger than its transaction or a stray; after a day it is a stray.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.object_store import StoredObject
from app.core.resources import Resources
from app.media.models import Derivative, MediaFile, Upload
from app.media.opening import expire

PREFIX = "media/"
STRAY_AFTER = timedelta(hours=24)
FORGOTTEN_AFTER = timedelta(days=7)
_BATCH = 500

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Swept:
    objects: int
    uploads: int


async def sweep(resources: Resources) -> Swept:
    """Remove what is old enough. Raises StoreUnavailable; what is left is swept next time."""
    await expire(resources)
    before = resources.clock.now() - STRAY_AFTER
    old = [item async for item in resources.store.list(PREFIX) if item.modified_at < before]
    removed = 0
    for batch in _batches(old):
        async with resources.sessions.read() as session:
            strays = await _unnamed(session, [item.key for item in batch])
        await resources.store.delete(strays)
        removed += len(strays)
    swept = Swept(removed, await _abort_forgotten(resources))
    log.info("swept", objects=swept.objects, uploads=swept.uploads)
    return swept


async def _unnamed(session: AsyncSession, keys: Sequence[str]) -> list[str]:
    files = select(MediaFile.object_key).where(MediaFile.object_key.in_(keys))
    pictures = select(Derivative.object_key).where(Derivative.object_key.in_(keys))
    named = set(await session.scalars(union_all(files, pictures)))
    named |= await _being_uploaded(session, keys)
    return [key for key in keys if key not in named]


async def _being_uploaded(session: AsyncSession, keys: Sequence[str]) -> set[str]:
    """Objects and tails that uploads still need."""
    wholes = {key.partition(".")[0] for key in keys}
    rows = await session.execute(
        select(Upload.object_key, Upload.tail).where(
            Upload.object_key.in_(wholes), Upload.state.in_(("receiving", "verifying"))
        )
    )
    return {key for row in rows for key in (row.object_key, *(key for key, _ in row.tail))}


async def _abort_forgotten(resources: Resources) -> int:
    before = resources.clock.now() - FORGOTTEN_AFTER
    forgotten = [
        upload async for upload in resources.store.unfinished(PREFIX) if upload.started_at < before
    ]
    async with resources.sessions.read() as session:
        going_on = set(
            await session.scalars(
                select(Upload.parts_id).where(
                    Upload.parts_id.in_([upload.upload_id for upload in forgotten]),
                    Upload.state.in_(("receiving", "verifying")),
                )
            )
        )
    forgotten = [upload for upload in forgotten if upload.upload_id not in going_on]
    for upload in forgotten:
        await resources.store.abort_parts(upload.key, upload.upload_id)
    return len(forgotten)


def _batches(items: Sequence[StoredObject]) -> Iterator[Sequence[StoredObject]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
