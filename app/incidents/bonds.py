"""What ties matters and units together: followers and masters, relations, who assists."""

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import one_of
from app.incidents.models import Incident, Step
from app.incidents.relations import Relation

_FOLLOWERS = text(
    """
    WITH RECURSIVE following AS (
      SELECT i.id, i.merged_into AS master_id FROM incidents i WHERE i.merged_into = ANY(:masters)
      UNION
      SELECT i.id, f.master_id FROM incidents i JOIN following f ON i.merged_into = f.id
    )
    SELECT f.master_id, i.id, i.number, i.reporter_id FROM following f JOIN incidents i USING (id)
    ORDER BY f.master_id, i.id
    """
)
_MASTERS = text(
    """
    WITH RECURSIVE led AS (
      SELECT i.id AS follower_id, i.merged_into AS id FROM incidents i WHERE i.id = ANY(:followers)
      UNION
      SELECT l.follower_id, i.merged_into FROM led l JOIN incidents i ON i.id = l.id
      WHERE i.merged_into IS NOT NULL
    )
    SELECT l.follower_id, i.id FROM led l JOIN incidents i ON i.id = l.id
    WHERE i.merged_into IS NULL
    """
)


async def followers_of(
    session: AsyncSession, master_ids: Collection[UUID]
) -> list[tuple[UUID, UUID, str, UUID]]:
    """(master, follower, the follower's number, its reporter), through any number of merges."""
    rows = await session.execute(_FOLLOWERS, {"masters": list(master_ids)})
    return [(row.master_id, row.id, row.number, row.reporter_id) for row in rows]


async def masters_of(session: AsyncSession, follower_ids: Collection[UUID]) -> dict[UUID, Incident]:
    """The matter that each of these has become a part of, through any number of merges."""
    if not follower_ids:
        return {}
    rows = (await session.execute(_MASTERS, {"followers": list(follower_ids)})).all()
    query = select(Incident).where(one_of(Incident.id, {row.id for row in rows}))
    masters = {incident.id: incident for incident in await session.scalars(query)}
    return {row.follower_id: masters[row.id] for row in rows}


async def masters_among(session: AsyncSession, ids: Collection[UUID]) -> frozenset[UUID]:
    """Those of them into which others were merged."""
    rows = await session.scalars(
        select(Incident.merged_into).where(one_of(Incident.merged_into, ids)).distinct()
    )
    return frozenset(each for each in rows if each is not None)


async def assisting_units(
    session: AsyncSession, ids: Collection[UUID]
) -> dict[UUID, frozenset[UUID]]:
    """By incident."""
    rows = await session.execute(
        select(Step.incident_id, Step.unit_id).where(
            one_of(Step.incident_id, ids), Step.assists.is_not(None), Step.ended_at.is_(None)
        )
    )
    units: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for incident_id, unit_id in rows:
        units[incident_id].add(unit_id)
    return {incident_id: frozenset(found) for incident_id, found in units.items()}


async def related_to(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, frozenset[UUID]]:
    """Both ways; incidents without relations are missing."""
    if not ids:
        return {}
    rows = await session.execute(
        select(Relation.low_id, Relation.high_id).where(
            or_(one_of(Relation.low_id, ids), one_of(Relation.high_id, ids))
        )
    )
    found: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for low, high in rows:
        found[low].add(high)
        found[high].add(low)
    return {incident_id: frozenset(others) for incident_id, others in found.items()}
