"""Whose move it is: where the caller stands towards an incident, and what that allows (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.accounts.models import Unit
from app.accounts.permissions import Role
from app.accounts.queries import staff_of
from app.incidents.models import Incident, Step
from app.incidents.status import TRANSITIONS, Action, State, Transition, Who

_ROLES: dict[Who, tuple[Role, ...]] = {
    Who.OWNER: (Role.DISPATCHER,),
    Who.VILLAGE_OWNER: (Role.DISPATCHER,),
    Who.HANDLER: (Role.HANDLER, Role.DISPATCHER),
    Who.VERIFIER: (Role.DISPATCHER,),
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What rights depend on beyond the incident itself, read once for many incidents."""

    units: Mapping[UUID, Unit]
    dispatchers: Mapping[UUID, Sequence[UUID]]
    """Of the centres that have something to verify."""


async def look_around(
    session: AsyncSession, incidents: Sequence[Incident], steps: Sequence[Step]
) -> Surroundings:
    """The units the incidents and steps name, and who could verify."""
    ids = {unit for step in steps for unit in (step.unit_id, step.opened_by)}
    ids |= {incident.owner_unit_id for incident in incidents}
    rows = await session.scalars(select(Unit).where(Unit.id.in_(ids)))
    verifying = {step.opened_by for step in steps if step.state == State.HANDLED}
    staff = await staff_of(session, verifying, [Role.DISPATCHER]) if verifying else {}
    return Surroundings({unit.id: unit for unit in rows}, staff)


def is_reporter(caller: Caller, incident: Incident) -> bool:
    return caller.id in (incident.reporter_id, incident.entered_by)


def could_ever(caller: Caller, incident: Incident, transition: Transition) -> bool:
    """False: no state of the incident would make this the caller's action (403 at once)."""
    if transition.who is Who.REPORTER:
        return is_reporter(caller, incident)
    roles = _ROLES.get(transition.who)
    return roles is None or bool(caller.holds(*roles))


def standing(
    caller: Caller, incident: Incident, step: Step | None, around: Surroundings
) -> frozenset[Who]:
    """The caller's places towards the incident; until it is routed only the reporter has one."""
    places: set[Who] = set()
    if is_reporter(caller, incident):
        places |= {Who.REPORTER, Who.ANYONE_INVOLVED}
    if step is None:
        return frozenset(places)
    dispatching = caller.unit_ids(Role.DISPATCHER)
    if step.unit_id in dispatching:
        places |= {Who.OWNER, Who.HANDLER, Who.ANYONE_INVOLVED}
        if around.units[step.unit_id].level == "village":
            places.add(Who.VILLAGE_OWNER)
    if step.unit_id in caller.unit_ids(Role.HANDLER):
        places |= {Who.HANDLER, Who.ANYONE_INVOLVED}
    if step.opened_by in dispatching:
        places.add(Who.ANYONE_INVOLVED)
    if incident.state == State.HANDLED and _verifies(caller, incident, step, around):
        places.add(Who.VERIFIER)
    return frozenset(places)


def allowed_actions(places: frozenset[Who], state: State) -> list[Action]:
    """In the table's order."""
    return [row.action for row in TRANSITIONS if state in row.sources and row.who in places]


def _verifies(caller: Caller, incident: Incident, step: Step, around: Surroundings) -> bool:
    """Another person than the one who completed; the parent centre where there is nobody else."""
    if caller.id == incident.completed_by:
        return False
    dispatching = caller.unit_ids(Role.DISPATCHER)
    if step.opened_by in dispatching:
        return True
    others = set(around.dispatchers.get(step.opened_by, ())) - {incident.completed_by}
    return around.units[step.opened_by].parent_id in dispatching and not others
