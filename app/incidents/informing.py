"""已回告: the reporter says that the raiser was told what came of the matter."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.incidents.history import Entry, append
from app.incidents.models import Incident
from app.incidents.status import Happening, State

WITH_OUTCOME = (State.HANDLED, State.CLOSED, State.ARCHIVED, State.TRANSFERRED)
"""There is something to tell the raiser."""


async def tick_informed(
    session: AsyncSession, caller: Caller, incident_ids: Collection[UUID], at: datetime
) -> list[UUID]:
    """Tick the caller's own reports whose raiser was told; a repeat changes nothing.

    Returns those that are ticked now. Foreign reports, and those without raiser or outcome, are
    left out: an acknowledgement is never refused for their sake.
    """
    if not incident_ids:
        return []
    rows = await session.scalars(
        select(Incident)
        .where(
            Incident.id.in_(incident_ids),
            or_(Incident.reporter_id == caller.id, Incident.entered_by == caller.id),
            Incident.raiser.is_not(None),
            Incident.state.in_(WITH_OUTCOME),
        )
        .order_by(Incident.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    incidents = rows.all()
    for incident in incidents:
        _tick(session, caller, incident, at)
    await session.flush()
    return [incident.id for incident in incidents]


def _tick(session: AsyncSession, caller: Caller, incident: Incident, at: datetime) -> None:
    raiser = incident.raiser or {}
    if raiser.get("informed_at"):
        return
    incident.raiser = {**raiser, "informed_at": at.isoformat()}
    entry = Entry(
        action=Happening.RAISER_INFORMED,
        from_state=incident.state,
        to_state=incident.state,
        step_id=incident.current_step_id,
        actor=caller,
    )
    append(session, incident, entry, at)
