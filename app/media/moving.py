"""Moving a stored file to where bytes are encrypted: it came before anybody knew that it must be.

Bytes first, then SQL, then the old bytes go; a move that is cut short is made again.
"""

from contextlib import aclosing
from uuid import UUID

import structlog
from sqlalchemy import update

from app.core.object_store import ObjectStore
from app.core.resources import Resources
from app.core.sealed_store import is_sealed, sealed_part_bytes
from app.media.derivatives import queue
from app.media.models import MediaFile
from app.media.queries import stored_file
from app.media.storing import object_key, remove

SEAL = "media.seal"
"""The name of the job."""

log = structlog.get_logger()


async def seal(resources: Resources, file_id: UUID) -> None:
    """The job; the file is looked into afterwards. Raises StoreUnavailable, ObjectMissing."""
    async with resources.sessions.read() as session:
        file = await stored_file(session, file_id)
    if file is None or file.object_key is None:
        return
    now = resources.clock.now()
    old, key = file.object_key, object_key(now, sealed=True)
    if not is_sealed(old):
        part_bytes = sealed_part_bytes(resources.settings.intake.part_bytes)
        try:
            await _copy(resources.store, (old, key), file.content_type or "", part_bytes)
        except BaseException:
            await remove(resources, [key])
            raise
    async with resources.sessions.begin() as session:
        if not is_sealed(old):
            await session.execute(
                update(MediaFile)
                .where(MediaFile.id == file_id, MediaFile.object_key == old)
                .values(object_key=key)
            )
        await queue(session, [file_id], now)
    if not is_sealed(old):
        await remove(resources, [old])
        log.info("file_sealed", file_id=str(file_id))


async def _copy(
    store: ObjectStore, keys: tuple[str, str], content_type: str, part_bytes: int
) -> None:
    """In parts, of which one is held at a time."""
    old, new = keys
    upload_id, etags, held = "", dict[int, str](), bytearray()
    async with aclosing(store.read(old)) as chunks:
        async for chunk in chunks:
            held += chunk
            while len(held) > part_bytes:
                upload_id = upload_id or await store.start_parts(new, content_type)
                number = len(etags) + 1
                etags[number] = await store.put_part(
                    new, upload_id, number, bytes(held[:part_bytes])
                )
                del held[:part_bytes]
    if not upload_id:
        await store.put(new, bytes(held), content_type)
        return
    number = len(etags) + 1
    etags[number] = await store.put_part(new, upload_id, number, bytes(held))
    await store.complete_parts(new, upload_id, etags)
