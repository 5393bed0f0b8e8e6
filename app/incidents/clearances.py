"""Who of a unit must not hear of a sealed matter that its handlers got a list for (知悉名单)."""

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import RoleHolding
from app.accounts.permissions import Role
from app.core.db import one_of
from app.incidents.models import Step
from app.incidents.opening_models import Clearance


async def unlisted_handlers(
    session: AsyncSession, incident_ids: Collection[UUID]
) -> dict[UUID, frozenset[UUID]]:
    """By matter; without a list, and for people who dispatch there too, nobody is left out."""
    listed = Clearance.broke_glass.is_(False)
    rows = await session.execute(
        select(Step.incident_id, RoleHolding.person_id)
        .join(RoleHolding, RoleHolding.unit_id == Step.unit_id)
        .where(
            one_of(Step.incident_id, incident_ids),
            exists().where(Clearance.incident_id == Step.incident_id, listed),
            ~exists().where(
                Clearance.incident_id == Step.incident_id,
                Clearance.person_id == RoleHolding.person_id,
                listed,
            ),
            RoleHolding.role == Role.HANDLER.value,
        )
    )
    found: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for row in rows:
        found[row.incident_id].add(row.person_id)
    dispatching = await _dispatching(session, incident_ids)
    return {id_: frozenset(people - dispatching) for id_, people in found.items()}


async def _dispatching(session: AsyncSession, incident_ids: Collection[UUID]) -> set[UUID]:
    rows = await session.scalars(
        select(RoleHolding.person_id)
        .join(Step, Step.opened_by == RoleHolding.unit_id)
        .where(one_of(Step.incident_id, incident_ids), RoleHolding.role == Role.DISPATCHER.value)
    )
    return set(rows)
