"""Where somebody can act: of units without staff nothing is waited for."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Platform, Unit
from app.accounts.permissions import Role
from app.accounts.queries import parent_centre, staff_of


async def centre_above(session: AsyncSession, unit: Unit) -> Unit | None:
    """The nearest one with staff; where nowhere anybody works, the nearest."""
    nearest = above = await parent_centre(session, unit)
    while above is not None:
        if await staffed(session, above):
            return above
        above = await parent_centre(session, above)
    return nearest


async def staffed(session: AsyncSession, unit: Unit) -> bool:
    """Somebody can act for it: its people, or its platform."""
    if not unit.active:
        return False
    roles = [Role.DISPATCHER] if unit.kind == "centre" else [Role.DISPATCHER, Role.HANDLER]
    if (await staff_of(session, [unit.id], roles))[unit.id]:
        return True
    platform = await session.scalar(
        select(Platform.id).where(Platform.unit_id == unit.id, Platform.state == "active").limit(1)
    )
    return platform is not None
