from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.media.models import MediaFile


async def stored_file(session: AsyncSession, file_id: UUID) -> MediaFile | None:
    """The file, if its bytes are in the store."""
    file = await session.get(MediaFile, file_id)
    return file if file is not None and file.state == "stored" else None
