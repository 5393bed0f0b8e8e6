"""Questions about areas and their imports."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.areas.errors import AreaImportNotFound, AreaNotFound
from app.areas.models import Area, AreaImport, Level


async def area_by_code(session: AsyncSession, code: str, at: datetime | None = None) -> Area:
    """The current version, or the one that held at an instant. Raises AreaNotFound."""
    asked = select(Area).where(Area.code == code)
    if at is None:
        asked = asked.where(Area.valid_to.is_(None))
    else:
        asked = asked.where(Area.valid_from <= at, or_(Area.valid_to.is_(None), Area.valid_to > at))
    area = await session.scalar(asked)
    if area is None:
        raise AreaNotFound(area_code=code)
    return area


async def areas_after(
    session: AsyncSession,
    after: str | None,
    limit: int,
    *,
    parent: str | None = None,
    level: Level | None = None,
    q: str | None = None,
) -> Sequence[Area]:
    """Current areas in order of code, `limit` + 1 of them where there are more.

    `q`: part of a name, or the beginning of a code.
    """
    asked = select(Area).where(Area.valid_to.is_(None)).order_by(Area.code).limit(limit + 1)
    if after is not None:
        asked = asked.where(Area.code > after)
    if parent is not None:
        asked = asked.where(Area.parent_code == parent)
    if level is not None:
        asked = asked.where(Area.level == level)
    if q is not None:
        named = Area.name.contains(q, autoescape=True)
        asked = asked.where(or_(named, Area.code.startswith(q, autoescape=True)))
    return (await session.scalars(asked)).all()


async def import_by_id(session: AsyncSession, import_id: UUID) -> AreaImport:
    """Raises AreaImportNotFound."""
    found = await session.get(AreaImport, import_id)
    if found is None:
        raise AreaImportNotFound
    return found
