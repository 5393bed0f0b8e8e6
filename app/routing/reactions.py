from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Unit
from app.accounts.permissions import Role
from app.accounts.queries import staff_of
from app.core.events import Recorded
from app.core.relay import Tick
from app.deadlines.limits import current_deadlines
from app.incidents.events import IncidentReported
from app.incidents.models import Incident
from app.incidents.status import State
from app.incidents.steps import FirstStep, open_first
from app.routing.models import Decision, RoutingRule
from app.routing.queries import current_rules
from app.routing.rules import Choice, Facts, choose


async def route_to_unit(
    session: AsyncSession, events: Sequence[Recorded[IncidentReported]], tick: Tick
) -> None:
    """Give every newly reported matter its unit; a second run changes nothing."""
    incidents = await _unrouted(session, [event.event.incident_id for event in events])
    if not incidents:
        return
    rules = await current_rules(session)
    units = await _units(session, incidents, rules)
    staffed = await _staffed(session, units)
    local = tick.now.astimezone(tick.resources.settings.zone)
    choices = [
        (incident, _choose(incident, rules, units, staffed, local)) for incident in incidents
    ]
    await _remember(session, choices, tick.now)
    by_id = {unit.id: unit for unit in units}
    firsts = [
        FirstStep(
            incident=incident,
            unit=by_id[choice.unit_id],
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


async def _units(
    session: AsyncSession, incidents: Sequence[Incident], rules: Sequence[RoutingRule]
) -> Sequence[Unit]:
    """Centres of the incidents' areas, units that rules name, and the duty desks."""
    areas = {code for incident in incidents for code in _areas(incident)}
    named = {rule.unit_code for rule in rules if rule.unit_code}
    desks = {incident.owner_unit_id for incident in incidents}
    rows = await session.scalars(
        select(Unit).where(
            or_(Unit.area_code.in_(areas), Unit.code.in_(named), Unit.id.in_(desks)),
            or_(Unit.kind == "centre", Unit.code.in_(named)),
            or_(Unit.active, Unit.id.in_(desks)),
        )
    )
    return rows.all()


async def _staffed(session: AsyncSession, units: Sequence[Unit]) -> frozenset[UUID]:
    """Centres with a dispatcher, departments with a handler."""
    staffed: set[UUID] = set()
    for kind, role in (("centre", Role.DISPATCHER), ("department", Role.HANDLER)):
        ids = [unit.id for unit in units if unit.kind == kind]
        if ids:
            staff = await staff_of(session, ids, [role])
            staffed |= {unit_id for unit_id, people in staff.items() if people}
    return frozenset(staffed)


def _areas(incident: Incident) -> list[str]:
    codes = (
        incident.grid_code,
        incident.village_code,
        incident.township_code,
        incident.district_code,
    )
    return [code for code in codes if code]


def _choose(
    incident: Incident,
    rules: Sequence[RoutingRule],
    units: Sequence[Unit],
    staffed: frozenset[UUID],
    local: datetime,
) -> Choice:
    own = _own_centres(incident, units)
    facts = Facts(
        category=incident.category,
        root=incident.root,
        urgency=incident.urgency,
        areas=frozenset(_areas(incident)),
        local_time=local.time(),
        sealed=incident.sealed,
        owner_unit_id=incident.owner_unit_id,
    )
    return choose(rules, facts, own, {unit.code: unit for unit in units}, staffed)


def _own_centres(incident: Incident, units: Sequence[Unit]) -> Mapping[str, Unit]:
    codes = _areas(incident)
    return {unit.level: unit for unit in units if unit.kind == "centre" and unit.area_code in codes}


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
