"""Erasing: the bytes of files and what was read out of them; that there was a file stays."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import one_of
from app.media.models import Derivative, Examination, MediaFile


async def erase(session: AsyncSession, file_ids: Sequence[UUID]) -> list[str]:
    """Rows first: returns the keys that nothing names any more, to be removed after the commit.

    Size and digest stay: a paper copy can still be told from a forged one.
    """
    pictures = await session.scalars(
        delete(Derivative)
        .where(one_of(Derivative.file_id, file_ids))
        .returning(Derivative.object_key)
    )
    keys = list(pictures)
    originals = await session.scalars(
        select(MediaFile.object_key).where(one_of(MediaFile.id, file_ids)).with_for_update()
    )
    keys += [key for key in originals if key is not None]
    await session.execute(
        update(MediaFile)
        .where(one_of(MediaFile.id, file_ids))
        .values(state="erased", object_key=None, captured_at=None)
    )
    await session.execute(
        update(Examination)
        .where(one_of(Examination.file_id, file_ids))
        .values(picture_hash=None, taken_at=None, taken_lon=None, taken_lat=None)
    )
    return keys
