"""Rereading: the stored bytes of a file were read back and hashed, which is a line of its custody.

A store that lies is found out by it (F10): the file is not stored any more, and who owns it asks
for it again.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

import structlog
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.events import record
from app.media.events import FileDamaged
from app.media.models import Examination, MediaFile, Rereading

Found = Literal["whole", "other", "gone"]
Purpose = Literal["examination", "sample", "verify"]

log = structlog.get_logger()


async def note(
    session: AsyncSession, file_id: UUID, purpose: Purpose, found: Found, *, at: datetime
) -> None:
    """Write down what was found; bytes that are others or gone make the file `rejected`."""
    await session.execute(
        insert(Rereading).values(file_id=file_id, at=at, purpose=purpose, found=found)
    )
    if found == "whole":
        return
    log.error("file_damaged", file_id=str(file_id), what=found)
    await session.execute(
        update(Examination)
        .where(Examination.file_id == file_id, Examination.state == "queued")
        .values(state="failed", code="file-damaged", ended_at=at)
    )
    damaged = await session.scalar(
        update(MediaFile)
        .where(MediaFile.id == file_id, MediaFile.state == "stored")
        .values(state="rejected")
        .returning(MediaFile.id)
    )
    if damaged is not None:
        await record(session, FileDamaged(file_id=file_id, found=found), at=at)
