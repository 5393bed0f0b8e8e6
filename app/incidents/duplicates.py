"""Matters that may be the same: shown with scores and reasons, nothing merges by itself."""

import math
from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.incidents.likeness import WITHIN, WITHIN_M, Likeness, Traits, likeness
from app.incidents.models import Incident, IncidentMedia
from app.incidents.status import State
from app.incidents.visibility import visible_to

MOST_SHOWN = 20
_MOST_WEIGHED = 500
"""A block of flats after a burst pipe: the newest ones are compared, the rest is the same story."""
_METRES_A_DEGREE = 111_320.0
_GONE = (State.VOIDED, State.REJECTED)

Similar = tuple[Incident, Likeness]


async def similar_to(
    session: AsyncSession, caller: Caller, traits: Traits, root: str, but: UUID | None = None
) -> list[Similar]:
    """Most alike first. Only what the caller may see, and no sealed matter at all.

    `but`: the matter itself, which is like itself.
    """
    rows = await session.scalars(
        select(Incident)
        .where(
            visible_to(caller),
            Incident.sealed.is_(False),
            Incident.root == root,
            Incident.received_at.between(traits.at - WITHIN, traits.at + WITHIN),
            _about(traits),
            Incident.state.not_in([state.value for state in _GONE]),
            Incident.merged_into.is_(None),
            *([Incident.id != but] if but else []),
        )
        .order_by(Incident.received_at.desc(), Incident.id)
        .limit(_MOST_WEIGHED)
    )
    found = rows.all()
    pictures = await _pictures(session, [incident.id for incident in found])
    weighed = [
        (incident, alike)
        for incident in found
        if (alike := likeness(traits, traits_of(incident, pictures[incident.id])))
    ]
    return sorted(weighed, key=lambda pair: -pair[1].score)[:MOST_SHOWN]


async def similar_to_incident(
    session: AsyncSession, caller: Caller, incident: Incident
) -> list[Similar]:
    """Nothing for a sealed matter: what is like a tip tells of the tip."""
    if incident.sealed:
        return []
    pictures = await _pictures(session, [incident.id])
    traits = traits_of(incident, pictures[incident.id])
    return await similar_to(session, caller, traits, incident.root, incident.id)


def traits_of(incident: Incident, pictures: frozenset[bytes] = frozenset()) -> Traits:
    return Traits(
        category=incident.category,
        text=incident.text,
        at=incident.received_at,
        lon=incident.lon,
        lat=incident.lat,
        grid_code=incident.grid_code,
        pictures=pictures,
    )


def at_of(moment: datetime | None, now: datetime) -> datetime:
    """When a report that is not sent yet counts as received: a queued one may be hours old."""
    return min(moment, now) if moment and now - moment < timedelta(days=30) else now


def _about(traits: Traits) -> ColumnElement[bool]:
    """The box around the point, or the grid where one of both has no point."""
    in_grid = Incident.grid_code == traits.grid_code if traits.grid_code is not None else false()
    if traits.lon is None or traits.lat is None:
        return in_grid
    north = WITHIN_M / _METRES_A_DEGREE
    east = north / max(math.cos(math.radians(traits.lat)), 1e-6)
    box = and_(
        Incident.lat.between(traits.lat - north, traits.lat + north),
        Incident.lon.between(traits.lon - east, traits.lon + east),
    )
    return or_(box, and_(Incident.lat.is_(None), in_grid))


async def _pictures(
    session: AsyncSession, incident_ids: Collection[UUID]
) -> defaultdict[UUID, frozenset[bytes]]:
    """Digests of the pictures of each matter, as promised or stored."""
    found: defaultdict[UUID, frozenset[bytes]] = defaultdict(frozenset)
    if not incident_ids:
        return found
    rows = await session.execute(
        select(IncidentMedia.incident_id, IncidentMedia.sha256).where(
            IncidentMedia.incident_id.in_(incident_ids),
            IncidentMedia.kind == "photo",
            IncidentMedia.sha256.is_not(None),
        )
    )
    for incident_id, digest in rows:
        found[incident_id] |= frozenset(filter(None, [digest]))
    return found
