"""Changing limits and office hours; every change leaves a line in the audit trail."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.errors import UnitNotFound
from app.accounts.models import Unit
from app.categories import queries as categories
from app.categories.tags import demand
from app.core import audit
from app.core.db import new_id
from app.core.errors import RevisionRequired, RevisionStale
from app.deadlines.models import Limit, OfficeHours
from app.deadlines.schemas import LimitChange, LimitView, OfficeHoursChange, OfficeHoursView


async def change_limit(
    session: AsyncSession, wanted: LimitChange, *, actor_id: UUID, at: datetime
) -> tuple[LimitView, bool]:
    """Write one limit; the second value is True when it is new.

    Raises CategoryUnknown, RevisionRequired, RevisionStale.
    """
    if wanted.category_code is not None:
        (await categories.load(session)).path(wanted.category_code)
    values = wanted.model_dump(exclude={"revision"})
    before = await locked_limit(session, wanted)
    limit = await _new_limit(session, wanted, values) if before is None else before
    facts: dict[str, Any] = {"after": values}
    if before is not None:
        facts["before"] = {name: getattr(before, name) for name in values}
        _overwrite(before, wanted, values)
        await session.flush()
    await audit.note(
        session,
        at=at,
        actor_id=actor_id,
        action="limit.created" if before is None else "limit.changed",
        target=("limit", limit.id),
        **facts,
    )
    return LimitView.model_validate(limit), before is None


async def change_office_hours(
    session: AsyncSession,
    unit_id: UUID | None,
    wanted: OfficeHoursChange,
    seen: str | None,
    *,
    within: Collection[str],
    actor_id: UUID,
    at: datetime,
) -> tuple[OfficeHoursView, bool]:
    """Write a unit's hours, or with None the default ones; the second value: True when new.

    `seen` is the writer's If-Match, `within` the areas whose units the writer may set. Raises
    UnitNotFound, RevisionRequired, RevisionStale.
    """
    unit = await session.get(Unit, unit_id) if unit_id is not None else None
    if unit_id is not None and (unit is None or unit.area_code not in within):
        raise UnitNotFound
    standing = await session.scalar(_hours_of(unit_id).with_for_update())
    demand(seen, OfficeHoursView.model_validate(standing) if standing else None)
    before = standing.sessions if standing else None
    hours = standing or await _new_hours(session, unit_id, wanted)
    hours.sessions = list(wanted.sessions)
    await session.flush()
    await audit.note(
        session,
        at=at,
        actor_id=actor_id,
        action="office_hours.changed",
        target=("office_hours", unit_id or "default"),
        before=before,
        after=hours.sessions,
    )
    return OfficeHoursView.model_validate(hours), standing is None


async def read_office_hours(session: AsyncSession, unit_id: UUID | None) -> OfficeHoursView | None:
    """The unit's own hours, or with None the default ones."""
    hours = await session.scalar(_hours_of(unit_id))
    return OfficeHoursView.model_validate(hours) if hours else None


def _hours_of(unit_id: UUID | None) -> Select[OfficeHours]:
    return select(OfficeHours).where(OfficeHours.unit_id.is_not_distinct_from(unit_id))


async def locked_limit(session: AsyncSession, wanted: LimitChange) -> Limit | None:
    """What stands for this category, urgency, level and stage; nobody else changes it meanwhile."""
    limit: Limit | None = await session.scalar(
        select(Limit)
        .where(
            Limit.category_code.is_not_distinct_from(wanted.category_code),
            Limit.level.is_not_distinct_from(wanted.level),
            Limit.urgency == wanted.urgency,
            Limit.stage == wanted.stage,
        )
        .with_for_update()
    )
    return limit


async def _new_limit(session: AsyncSession, wanted: LimitChange, values: dict[str, Any]) -> Limit:
    if wanted.revision is not None:
        raise RevisionStale
    limit: Limit | None = await session.scalar(
        insert(Limit).values(values).on_conflict_do_nothing().returning(Limit)
    )
    if limit is None:  # somebody else created it in this very moment
        raise RevisionRequired
    return limit


def _overwrite(limit: Limit, wanted: LimitChange, values: dict[str, Any]) -> None:
    if wanted.revision is None:
        raise RevisionRequired
    if wanted.revision != limit.revision:
        raise RevisionStale(current=LimitView.model_validate(limit).model_dump(mode="json"))
    for name, value in values.items():
        setattr(limit, name, value)
    limit.revision += 1


async def _new_hours(
    session: AsyncSession, unit_id: UUID | None, wanted: OfficeHoursChange
) -> OfficeHours:
    values = {"id": new_id(), "unit_id": unit_id, "sessions": wanted.sessions}
    hours: OfficeHours | None = await session.scalar(
        insert(OfficeHours).values(values).on_conflict_do_nothing().returning(OfficeHours)
    )
    if hours is None:  # somebody else created it in this very moment
        raise RevisionRequired
    return hours
