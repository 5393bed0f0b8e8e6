"""Whose move it is: where the caller stands towards an incident, and what that allows (pure)."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
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
    Who.OWNER: (Role.DISPATCHER, Role.PLATFORM),
    Who.VILLAGE_OWNER: (Role.DISPATCHER,),
    Who.HANDLER: (Role.HANDLER, Role.DISPATCHER, Role.PLATFORM),
    Who.VERIFIER: (Role.DISPATCHER,),
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What rights depend on beyond the incident itself, read once for many incidents."""

    units: Mapping[UUID, Unit]
    dispatchers: Mapping[UUID, Sequence[UUID]]
    """Of the centres that have something to verify."""
    below: Mapping[UUID, frozenset[str]]
    """Kinds of units right below the centres that have something to pass on."""


async def look_around(
    session: AsyncSession, incidents: Sequence[Incident], steps: Sequence[Step]
) -> Surroundings:
    """The units the incidents and steps name, and who could verify."""
    ids = {unit for step in steps for unit in (step.unit_id, step.opened_by)}
    ids |= {incident.owner_unit_id for incident in incidents}
    rows = await session.scalars(select(Unit).where(Unit.id.in_(ids)))
    verifying = {step.opened_by for step in steps if step.state == State.HANDLED}
    staff = await staff_of(session, verifying, [Role.DISPATCHER]) if verifying else {}
    passing = {step.unit_id for step in steps if step.state == State.ACCEPTED}
    below = await _kinds_below(session, passing) if passing else {}
    return Surroundings({unit.id: unit for unit in rows}, staff, below)


async def _kinds_below(
    session: AsyncSession, unit_ids: Collection[UUID]
) -> dict[UUID, frozenset[str]]:
    rows = await session.execute(
        select(Unit.parent_id, Unit.kind)
        .where(Unit.parent_id.in_(unit_ids), Unit.active)
        .distinct()
    )
    below: defaultdict[UUID | None, set[str]] = defaultdict(set)
    for parent_id, kind in rows:
        below[parent_id].add(kind)
    return {unit_id: frozenset(below[unit_id]) for unit_id in unit_ids}


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
    places |= _in_its_unit(caller, step, around)
    if step.opened_by in caller.unit_ids(Role.DISPATCHER, Role.PLATFORM):
        places.add(Who.ANYONE_INVOLVED)
    if incident.state == State.HANDLED and _verifies(caller, incident, step, around):
        places.add(Who.VERIFIER)
    return frozenset(places)


def _in_its_unit(caller: Caller, step: Step, around: Surroundings) -> set[Who]:
    """What the owning unit's staff may do, its platform too; verifying is left to people."""
    roles = {held.role for held in caller.holdings if held.unit_id == step.unit_id}
    places: set[Who] = set()
    if roles & {Role.DISPATCHER, Role.HANDLER, Role.PLATFORM}:
        places |= {Who.HANDLER, Who.ANYONE_INVOLVED}
    if roles & {Role.DISPATCHER, Role.PLATFORM}:
        places.add(Who.OWNER)
    if Role.DISPATCHER in roles and around.units[step.unit_id].level == "village":
        places.add(Who.VILLAGE_OWNER)
    return places


def allowed_actions(
    places: frozenset[Who], state: State, step: Step | None, around: Surroundings
) -> list[Action]:
    """In the table's order; without the moves for which there is no unit to move to."""
    nowhere = _nowhere(step, around) if step else frozenset()
    return [
        row.action
        for row in TRANSITIONS
        if state in row.sources and row.who in places and row.action not in nowhere
    ]


def _nowhere(step: Step, around: Surroundings) -> frozenset[Action]:
    below = around.below.get(step.unit_id, frozenset())
    ways = {
        Action.ESCALATE: around.units[step.unit_id].parent_id is not None,
        Action.HAND_DOWN: "centre" in below,
        Action.DISPATCH: "department" in below,
    }
    return frozenset(action for action, exists in ways.items() if not exists)


def _verifies(caller: Caller, incident: Incident, step: Step, around: Surroundings) -> bool:
    """Another person than the one who completed; the parent centre where there is nobody else."""
    if caller.id == incident.completed_by:
        return False
    dispatching = caller.unit_ids(Role.DISPATCHER)
    if step.opened_by in dispatching:
        return True
    others = set(around.dispatchers.get(step.opened_by, ())) - {incident.completed_by}
    return around.units[step.opened_by].parent_id in dispatching and not others


async def verifying_unit(
    session: AsyncSession, incident: Incident, step: Step | None
) -> UUID | None:
    """Whose verification the step waits for: `opened_by`, or its parent as in `standing`."""
    if step is None or incident.state != State.HANDLED:
        return step.opened_by if step else None
    staff = await staff_of(session, [step.opened_by], [Role.DISPATCHER])
    if set(staff[step.opened_by]) - {incident.completed_by}:
        return step.opened_by
    centre = await session.get_one(Unit, step.opened_by)
    return centre.parent_id or centre.id
