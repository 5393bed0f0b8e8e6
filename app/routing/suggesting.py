"""Who closed matters like this one: shown with its reasons, never applied by itself."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.accounts.models import Unit
from app.accounts.queries import units_by_ids
from app.core.errors import Language
from app.incidents.models import Incident
from app.incidents.status import State
from app.incidents.visibility import visible_to
from app.routing.schemas import RoutedUnit, Suggestion

LOOKING_BACK = timedelta(days=365)
_MOST = 3
_CLOSED = (State.CLOSED.value, "archived")
_REASONS: dict[Language, tuple[str, str]] = {
    "zh-CN": ("同村同类事件 {closed} 件由该单位办结", "其中同一网格 {grid} 件"),
    "en": ("closed {closed} of the same category in this village", "{grid} of them in this grid"),
}


async def suggestions(
    session: AsyncSession, caller: Caller, incident: Incident, language: Language, now: datetime
) -> list[Suggestion]:
    """From matters of the same category and village that the caller may see; sealed ones never."""
    if incident.sealed or incident.village_code is None:
        return []
    here = func.count().filter(Incident.grid_code == incident.grid_code)
    rows = await session.execute(
        select(Incident.owner_unit_id, func.count().label("closed"), here.label("grid"))
        .join(Unit, Unit.id == Incident.owner_unit_id)
        .where(
            Incident.village_code == incident.village_code,
            Incident.received_at >= now - LOOKING_BACK,
            Incident.category == incident.category,
            Incident.state.in_(_CLOSED),
            Incident.sealed.is_(False),
            Incident.id != incident.id,
            Unit.active,
            visible_to(caller),
        )
        .group_by(Incident.owner_unit_id)
        .order_by(func.count().desc(), here.desc(), Incident.owner_unit_id)
        .limit(_MOST)
    )
    return await _shown(session, rows.all(), language)


async def _shown(
    session: AsyncSession, rows: Sequence[Any], language: Language
) -> list[Suggestion]:
    units = await units_by_ids(session, [row.owner_unit_id for row in rows])
    whole, part = _REASONS[language]
    return [
        Suggestion(
            unit=RoutedUnit.model_validate(units[row.owner_unit_id]),
            closed=row.closed,
            reasons=[
                whole.format(closed=row.closed),
                *([part.format(grid=row.grid)] if row.grid else []),
            ],
        )
        for row in rows
    ]
