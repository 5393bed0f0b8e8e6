from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.media.models import Derivative, MediaFile


async def stored_file(session: AsyncSession, file_id: UUID) -> MediaFile | None:
    """The file, if its bytes are in the store."""
    file = await session.get(MediaFile, file_id)
    return file if file is not None and file.state == "stored" else None


async def derivative_of(
    session: AsyncSession, file_id: UUID, variant: str
) -> tuple[Derivative, MediaFile] | None:
    """The picture made of a stored file, and the file."""
    row = (
        await session.execute(
            select(Derivative, MediaFile)
            .join(MediaFile, MediaFile.id == Derivative.file_id)
            .where(
                Derivative.file_id == file_id,
                Derivative.variant == variant,
                MediaFile.state == "stored",
            )
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None
