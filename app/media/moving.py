"""Moving a stored file to where bytes are encrypted: it came before anybody knew that it must be.

Bytes first, then SQL, then the old bytes go; a move that is cut short is made again.
"""

from contextlib import aclosing
from uuid import UUID

import structlog
from sqlalchemy import update

from app.core.resources import Resources
from app.core.sealed_store import is_sealed
from app.media.derivatives import queue
from app.media.models import MediaFile
from app.media.queries import stored_file
from app.media.storing import remove, stored_again

SEAL = "media.seal"
"""The name of the job."""

log = structlog.get_logger()


async def seal(resources: Resources, file_id: UUID) -> None:
    """The job; the file is looked into afterwards. Raises StoreUnavailable, ObjectMissing."""
    async with resources.sessions.read() as session:
        file = await stored_file(session, file_id)
    if file is None or file.object_key is None:
        return
    old = file.object_key
    moved = None if is_sealed(old) else await _moved(resources, old, file.content_type or "")
    async with resources.sessions.begin() as session:
        if moved is not None:
            await session.execute(
                update(MediaFile)
                .where(MediaFile.id == file_id, MediaFile.object_key == old)
                .values(object_key=moved)
            )
        await queue(session, [file_id], resources.clock.now())
    if moved is not None:
        await remove(resources, [old])
        log.info("file_sealed", file_id=str(file_id))


async def _moved(resources: Resources, old: str, content_type: str) -> str:
    async with aclosing(resources.store.read(old)) as chunks:
        return await stored_again(resources, chunks, content_type, sealed=True)
