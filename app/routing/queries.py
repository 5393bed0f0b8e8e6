from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.areas.locate import AreaMap
from app.incidents.models import Incident
from app.routing.models import Decision, RoutingRule, RuleSet

_COLUMNS = {
    "district": Incident.district_code,
    "township": Incident.township_code,
    "village": Incident.village_code,
    "grid": Incident.grid_code,
}


async def set_in_force(session: AsyncSession, at: datetime) -> RuleSet | None:
    """The set whose validity began last."""
    found: RuleSet | None = await session.scalar(
        select(RuleSet)
        .where(RuleSet.valid_from <= at)
        .order_by(RuleSet.valid_from.desc(), RuleSet.version.desc())
        .limit(1)
    )
    return found


async def rules_of(session: AsyncSession, version: int) -> Sequence[RoutingRule]:
    """In the order in which they are tried."""
    rows = await session.scalars(
        select(RoutingRule).where(RoutingRule.version == version).order_by(RoutingRule.position)
    )
    return rows.all()


async def current_rules(session: AsyncSession, at: datetime) -> Sequence[RoutingRule]:
    """Of the set in force at this moment, in order."""
    standing = await set_in_force(session, at)
    return await rules_of(session, standing.version) if standing else ()


async def newest_version(session: AsyncSession) -> int:
    """0 before the seed."""
    return (await session.scalar(select(func.max(RuleSet.version)))) or 0


async def sets_before(
    session: AsyncSession, before: int | None, fetch: int
) -> Sequence[tuple[RuleSet, int]]:
    """Newest first, each with the number of its rules."""
    count = (
        select(func.count())
        .select_from(RoutingRule)
        .where(RoutingRule.version == RuleSet.version)
        .scalar_subquery()
    )
    query = select(RuleSet, count).order_by(RuleSet.version.desc()).limit(fetch)
    if before is not None:
        query = query.where(RuleSet.version < before)
    return [(row[0], row[1]) for row in await session.execute(query)]


async def decision_of(session: AsyncSession, incident_id: UUID) -> Decision | None:
    return await session.get(Decision, incident_id)


def lies_in(areas: AreaMap, roots: Collection[str]) -> ColumnElement[bool]:
    """Open matters (not sealed ones) of these subtrees; an unknown area holds nothing."""
    within = [
        _COLUMNS[node.level] == node.code
        for code in sorted(roots)
        if (node := areas.get(code)) and node.level in _COLUMNS
    ]
    return or_(false(), *within) & Incident.sealed.is_(False)
