from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.routing.models import Decision, RoutingRule


async def current_rules(session: AsyncSession) -> Sequence[RoutingRule]:
    """The newest version, in order."""
    newest = select(func.max(RoutingRule.version)).scalar_subquery()
    rows = await session.scalars(
        select(RoutingRule).where(RoutingRule.version == newest).order_by(RoutingRule.position)
    )
    return rows.all()


async def decision_of(session: AsyncSession, incident_id: UUID) -> Decision | None:
    return await session.get(Decision, incident_id)
