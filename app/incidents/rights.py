"""Whose move it is: where the caller stands towards an incident, and what that allows (pure)."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.accounts.models import Unit
from app.accounts.permissions import Role
from app.accounts.queries import staff_of
from app.incidents.bonds import assisting_units, masters_among, related_to
from app.incidents.models import Incident, Step
from app.incidents.status import BY_ACTION, OPEN, Action, State, Transition, Who
from app.incidents.visibility import covers
from app.incidents.windows import (
    BOUNCES,
    MOST_EXTENSIONS,
    RATING_WINDOW,
    UNMERGE_WINDOW,
    URGE_PAUSE,
)

_STAFF_ROLES = (Role.DISPATCHER, Role.HANDLER, Role.PLATFORM)
_ASSISTED = (State.IN_PROGRESS, State.SUSPENDED)
_AFTER_ITS_STEP = (State.MERGED, State.CLOSED)
_ROLES: dict[Who, tuple[Role, ...]] = {
    Who.OWNER: (Role.DISPATCHER, Role.PLATFORM),
    Who.VILLAGE_OWNER: (Role.DISPATCHER,),
    Who.HANDLER: (Role.HANDLER, Role.DISPATCHER, Role.PLATFORM),
    Who.VERIFIER: (Role.DISPATCHER,),
    Who.WORKING: (Role.HANDLER, Role.DISPATCHER, Role.PLATFORM),
    Who.CENTRE: (Role.DISPATCHER,),
    Who.EITHER: (Role.HANDLER, Role.DISPATCHER, Role.PLATFORM),
    Who.DECIDER: (Role.DISPATCHER,),
    Who.STAFF: (Role.HANDLER, Role.DISPATCHER, Role.PLATFORM),
    Who.OVERSEER: (Role.SUPERVISOR, Role.DISPATCHER),
    Who.LIFTER: (Role.SUPERVISOR, Role.DISPATCHER),
    Who.DESK: (Role.SUPERVISOR, Role.DISPATCHER, Role.PLATFORM),
    Who.SUPERVISOR: (Role.SUPERVISOR,),
}
LEVELS = ("village", "township", "district")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What rights depend on beyond the incident itself, read once for many incidents."""

    units: Mapping[UUID, Unit]
    dispatchers: Mapping[UUID, Sequence[UUID]]
    """Of the centres that have something to verify."""
    below: Mapping[UUID, frozenset[str]]
    """Kinds of units right below the centres that have something to pass on."""
    assisting: Mapping[UUID, frozenset[UUID]]
    """Units that assist, by incident."""
    masters: frozenset[UUID]
    """Incidents into which others were merged."""
    related: Mapping[UUID, frozenset[UUID]]


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
    open_ids = {incident.id for incident in incidents if State(incident.state) in OPEN}
    assisted = {step.incident_id for step in steps if step.state in _ASSISTED}
    return Surroundings(
        {unit.id: unit for unit in rows},
        staff,
        below,
        await assisting_units(session, assisted) if assisted else {},
        await masters_among(session, open_ids) if open_ids else frozenset(),
        await related_to(session, [incident.id for incident in incidents]),
    )


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
    if transition.who in (Who.REPORTER, Who.CONFIRMER):
        return is_reporter(caller, incident)
    if transition.who is Who.REOPENER and is_reporter(caller, incident):
        return True
    roles = _ROLES.get(transition.who) if transition.who else None
    return roles is None or bool(caller.holds(*roles))


def standing(
    caller: Caller, incident: Incident, step: Step | None, around: Surroundings
) -> frozenset[Who]:
    """The caller's places towards the incident; until it is routed only the reporter has one."""
    places = _as_reporter(caller, incident)
    if step is None:
        if incident.state in _AFTER_ITS_STEP:
            places |= _where_it_ended(caller, incident)
        return frozenset(places)
    places |= _in_its_unit(caller, step, around) | _above_it(caller, incident, step)
    if caller.unit_ids(*_STAFF_ROLES) & around.assisting.get(incident.id, frozenset()):
        places |= {Who.WORKING, Who.STAFF, Who.ANYONE_INVOLVED}
    places |= _overseeing(caller, incident, step, around)
    if incident.state == State.HANDLED and _verifies(caller, incident, step, around):
        places.add(Who.VERIFIER)
    if places & {Who.OWNER, Who.CENTRE, Who.OVERSEER}:
        places.add(Who.DESK)
    if places & {Who.HANDLER, Who.CENTRE}:
        places.add(Who.EITHER)
    return frozenset(places)


def _as_reporter(caller: Caller, incident: Incident) -> set[Who]:
    if not is_reporter(caller, incident):
        return set()
    places = {Who.REPORTER, Who.ANYONE_INVOLVED, Who.REOPENER}
    if caller.id != incident.completed_by:
        places.add(Who.CONFIRMER)
    return places


def _where_it_ended(caller: Caller, incident: Incident) -> set[Who]:
    """Merged, or self-handled before a step was opened: the centre that owned it then."""
    if incident.owner_unit_id not in caller.unit_ids(Role.DISPATCHER):
        return set()
    return {Who.OWNER, Who.REOPENER}


def _in_its_unit(caller: Caller, step: Step, around: Surroundings) -> set[Who]:
    """What the owning unit's staff may do, its platform too; verifying is left to people."""
    roles = {held.role for held in caller.holdings if held.unit_id == step.unit_id}
    places: set[Who] = set()
    if roles & set(_STAFF_ROLES):
        places |= {Who.HANDLER, Who.WORKING, Who.STAFF, Who.ANYONE_INVOLVED}
    if roles & {Role.DISPATCHER, Role.PLATFORM}:
        places.add(Who.OWNER)
    if Role.DISPATCHER in roles and around.units[step.unit_id].level == "village":
        places.add(Who.VILLAGE_OWNER)
    return places


def _above_it(caller: Caller, incident: Incident, step: Step) -> set[Who]:
    """The centre it stands under, and the parent centre once it may act in its place."""
    places: set[Who] = set()
    dispatching = caller.unit_ids(Role.DISPATCHER)
    if step.opened_by in caller.unit_ids(Role.DISPATCHER, Role.PLATFORM):
        places |= {Who.STAFF, Who.ANYONE_INVOLVED}
    if step.opened_by in dispatching:
        places |= {Who.CENTRE, Who.REOPENER}
    if step.decider_unit_id in dispatching:
        places |= {Who.DECIDER, Who.ANYONE_INVOLVED}
    if step.stand_in_unit_id in dispatching:
        places |= {Who.OWNER, Who.STAFF, Who.ANYONE_INVOLVED}
        if incident.state == State.HANDLED and caller.id != incident.completed_by:
            places.add(Who.VERIFIER)
    return places


def _overseeing(caller: Caller, incident: Incident, step: Step, around: Surroundings) -> set[Who]:
    """Supervisors and desks of the step's level and above; nobody supervises the own desk."""
    level = around.units[step.unit_id].level
    places: set[Who] = set()
    for held in caller.holds(Role.SUPERVISOR, Role.DISPATCHER):
        own = held.role is Role.DISPATCHER and held.unit_id == step.unit_id
        if own or not covers(held, incident) or _below(held.level, level):
            continue
        places.add(Who.OVERSEER)
        if not _below(held.level, step.supervised_level or level):
            places.add(Who.LIFTER)
        if held.role is Role.SUPERVISOR:
            places.add(Who.SUPERVISOR)
    return places


def overseeing_level(caller: Caller, incident: Incident) -> str | None:
    """The highest level on which the caller oversees the matter."""
    held = caller.holds(Role.SUPERVISOR, Role.DISPATCHER)
    levels = [each.level for each in held if covers(each, incident)]
    return max(levels, key=LEVELS.index, default=None)


def _below(level: str, other: str) -> bool:
    return LEVELS.index(level) < LEVELS.index(other)


def allowed_actions(
    places: frozenset[Who],
    incident: Incident,
    step: Step | None,
    around: Surroundings,
    now: datetime,
) -> list[Action]:
    """In the table's order; without the moves for which there is no unit, or not now."""
    state = State(incident.state)
    nowhere = _nowhere(step, around) if step else frozenset()
    hindered = hindrances(incident, step, around, now)
    return [
        action
        for action, row in BY_ACTION.items()
        if state in row.sources
        and row.who in places
        and action not in nowhere
        and action not in hindered
    ]


def hindrances(
    incident: Incident, step: Step | None, around: Surroundings, now: datetime
) -> frozenset[Action]:
    """What the table allows, and the matter's own past does not."""
    closed_at = incident.closed_at or now
    found = {
        Action.RATE: now >= closed_at + RATING_WINDOW,
        Action.REOPEN: incident.reopened_at is not None or now >= closed_at + RATING_WINDOW,
        Action.UNMERGE: now >= (incident.merged_at or now) + UNMERGE_WINDOW,
        Action.URGE: incident.urged_at is not None and now < incident.urged_at + URGE_PAUSE,
        Action.REFUSE: incident.bounce_count >= BOUNCES,
        Action.RAISE_URGENCY: incident.urgency == "critical",
        Action.WITHDRAW: incident.id in around.masters,
        Action.RETURN: incident.id in around.masters,
        Action.UNRELATE: not around.related.get(incident.id),
        Action.INFORM: incident.sealed,
    }
    if step is not None:
        found |= _of_the_step(step, now)
    return frozenset(action for action, is_so in found.items() if is_so)


def _of_the_step(step: Step, now: datetime) -> dict[Action, bool]:
    asked, expired = step.extension_asked is not None, step.due_at is None or now >= step.due_at
    used_up = step.extensions_granted >= MOST_EXTENSIONS or step.supervision == "red"
    return {
        Action.REQUEST_EXTENSION: asked or expired or used_up,
        Action.DECIDE_EXTENSION: not asked,
        Action.REQUEST_SUSPENSION: step.suspension_asked_on is not None,
        Action.SUPERVISE: step.supervision == "red",
        Action.LIFT_SUPERVISION: step.supervision == "normal",
    }


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
