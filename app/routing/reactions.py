from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.events import Recorded
from app.core.relay import Tick
from app.deadlines.limits import current_deadlines
from app.incidents.events import IncidentReported
from app.incidents.models import Incident
from app.incidents.status import State
from app.incidents.steps import FirstStep, open_first
from app.routing.choosing import Board, lineage_of
from app.routing.models import Decision
from app.routing.queries import current_rules
from app.routing.rules import Choice


async def route_to_unit(
    session: AsyncSession, events: Sequence[Recorded[IncidentReported]], tick: Tick
) -> None:
    """Give every newly reported matter its unit; a second run changes nothing."""
    incidents = await _unrouted(session, [event.event.incident_id for event in events])
    if not incidents:
        return
    rules = await current_rules(session, tick.now)
    areas = {code for incident in incidents for code in lineage_of(incident)}
    desks = {incident.owner_unit_id for incident in incidents}
    board = await Board.load(session, areas, rules, desks)
    local = tick.now.astimezone(tick.resources.settings.zone).time()
    choices = [
        (incident, board.choose(incident, rules, local, incident.owner_unit_id))
        for incident in incidents
    ]
    await _remember(session, choices, tick.now)
    firsts = [
        FirstStep(
            incident=incident,
            unit=board.units[choice.unit_id],
            opened_by=choice.opened_by,
            inform_unit_ids=choice.inform,
            rule=choice.rule.name if choice.rule else "",
        )
        for incident, choice in choices
    ]
    await open_first(session, firsts, await current_deadlines(tick.resources), tick.now)


async def _unrouted(session: AsyncSession, ids: Sequence[UUID]) -> Sequence[Incident]:
    """Locked in id order. What was withdrawn or self-handled meanwhile is left alone."""
    rows = await session.scalars(
        select(Incident)
        .where(
            Incident.id.in_(ids),
            Incident.state == State.SUBMITTED,
            Incident.current_step_id.is_(None),
            ~exists().where(Decision.incident_id == Incident.id),
        )
        .order_by(Incident.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def _remember(
    session: AsyncSession, choices: Sequence[tuple[Incident, Choice]], at: datetime
) -> None:
    await session.execute(
        insert(Decision).values(
            [
                {
                    "incident_id": incident.id,
                    "unit_id": choice.unit_id,
                    "rule_id": choice.rule.id if choice.rule else None,
                    "rule_version": choice.rule.version if choice.rule else None,
                    "trace": {**choice.trace, "grid_candidates": incident.grid_candidates},
                    "decided_at": at,
                }
                for incident, choice in choices
            ]
        )
    )
