"""The one place that decides which incidents exist for a caller; outside it, there are none."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, exists, literal_column, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from app.accounts.caller import Caller, Holding
from app.accounts.models import Person, RoleHolding, Unit
from app.accounts.permissions import Role
from app.core.db import NOTHING
from app.incidents.models import Incident, InformedUnit, Step
from app.incidents.opening_models import Clearance
from app.incidents.status import State

STEPPING = (Role.DISPATCHER, Role.HANDLER)
_OVERSEEING = (Role.DISPATCHER, Role.SUPERVISOR, Role.GRID_MANAGER)

_LEVEL_COLUMN: dict[str, InstrumentedAttribute[str] | InstrumentedAttribute[str | None]] = {
    "village": Incident.village_code,
    "township": Incident.township_code,
    "district": Incident.district_code,
}


def visible_to(caller: Caller) -> ColumnElement[bool]:
    """A WHERE clause. Sealed matters: their reporter and the people of units with a step only."""
    own = or_(Incident.reporter_id == caller.id, Incident.entered_by == caller.id)
    machine = has_step(caller, Role.PLATFORM)
    return or_(
        own,
        and_(Incident.sealed.is_(False), or_(machine, *reach(caller))),
        has_step(caller, Role.DISPATCHER),
        and_(has_step(caller, Role.HANDLER), may_know(caller)),
        broke_glass(caller),
        is_asked_to_verify(caller),
        is_asked_to_act(caller),
        _is_informed(caller),
    )


def knows_reporter(caller: Caller, incident: Incident) -> bool:
    """Of a sealed matter only the centres above its place know who reported it."""
    if not incident.sealed or caller.id in (incident.reporter_id, incident.entered_by):
        return True
    return is_responsible(caller, incident)


def is_responsible(caller: Caller, incident: Incident) -> bool:
    """A dispatcher of a centre above its place."""
    return any(covers(held, incident) for held in caller.holds(Role.DISPATCHER))


def is_above(caller: Caller, incident: Incident) -> bool:
    """As `is_responsible`, or one who supervises there."""
    held = caller.holds(Role.DISPATCHER, Role.SUPERVISOR)
    return any(covers(each, incident) for each in held)


def reads_notes(caller: Caller, incident: Incident) -> bool:
    """Internal notes are for those who work on it; a reporter reads them from its desk only."""
    if caller.id in (incident.reporter_id, incident.entered_by):
        return is_responsible(caller, incident)
    return bool(caller.holds(*_OVERSEEING, *STEPPING, Role.PLATFORM))


def covers(held: Holding, incident: Incident) -> bool:
    """A centre in whose area the matter lies."""
    column = _LEVEL_COLUMN.get(held.level)
    inside = column is not None and getattr(incident, column.key) == held.area_code
    return held.kind == "centre" and inside


def overseen(caller: Caller) -> Sequence[Holding]:
    """Centres for which the caller sees what lies in their area."""
    return [
        held
        for held in caller.holds(*_OVERSEEING)
        if held.kind == "centre" and held.level in _LEVEL_COLUMN
    ]


def reach(caller: Caller) -> Sequence[ColumnElement[bool]]:
    """What is seen by its place, unless it is sealed."""
    below = {(held.level, held.area_code) for held in overseen(caller)}
    clauses = [_LEVEL_COLUMN[level] == code for level, code in sorted(below)]
    if caller.holds(Role.GRID_WORKER):
        clauses += [Incident.grid_code == code for code in sorted(caller.grid_codes)]
    return clauses


def may_know(caller: Caller) -> ColumnElement[bool]:
    """A sealed matter with a list (知悉名单): only the handlers who stand on it."""
    on_a_list = (Clearance.incident_id == Incident.id, Clearance.broke_glass.is_(False))
    listed = exists().where(*on_a_list).correlate(Incident)
    on_it = exists().where(*on_a_list, Clearance.person_id == caller.id).correlate(Incident)
    return or_(Incident.sealed.is_(False), ~listed, on_it)


def broke_glass(caller: Caller) -> ColumnElement[bool]:
    """From the caller's own few clearances: the matters are found by them."""
    own = select(Clearance.incident_id).where(
        Clearance.person_id == caller.id, Clearance.broke_glass.is_(True)
    )
    return and_(Incident.sealed, Incident.id.in_(own))


def is_asked_to_verify(caller: Caller) -> ColumnElement[bool]:
    """A sealed matter of the centre below, in which nobody but who completed it could verify."""
    # the state as a literal: the partial index is chosen by it
    handled = Incident.state == literal_column(f"'{State.HANDLED}'")
    return and_(Incident.sealed, handled, verifies_for_another(caller))


def verifies_for_another(caller: Caller) -> ColumnElement[bool]:
    """Of a matter to be verified: its centre has nobody for it, and the caller's is above it."""
    units = caller.unit_ids(Role.DISPATCHER)
    if not units:
        return NOTHING
    somebody_else = exists().where(
        RoleHolding.unit_id == Step.opened_by,
        RoleHolding.role == Role.DISPATCHER.value,
        RoleHolding.person_id == Person.id,
        RoleHolding.person_id.is_distinct_from(Incident.completed_by),
        Person.state == "active",
    )
    left_to_it = exists().where(
        Step.id == Incident.current_step_id,
        Unit.id == Step.opened_by,
        Unit.parent_id.in_(units),
        ~somebody_else.correlate(Step, Incident),
    )
    return left_to_it.correlate(Incident)


def is_asked_to_act(caller: Caller) -> ColumnElement[bool]:
    """In the place of a centre that let its time run out, or for a second extension."""
    units = caller.unit_ids(Role.DISPATCHER)
    if not units:
        return NOTHING
    asked = or_(Step.stand_in_unit_id.in_(units), Step.decider_unit_id.in_(units))
    current = exists().where(Step.id == Incident.current_step_id, asked)
    return and_(
        # said twice: from these few steps the matters are found, not from all matters these few
        Incident.id.in_(select(Step.incident_id).where(asked).correlate(None)),
        current.correlate(Incident),
    )


def has_step(caller: Caller, *roles: Role) -> ColumnElement[bool]:
    """A unit of the caller's in one of these roles has, or had, something to do in it."""
    units = caller.unit_ids(*roles)
    if not units:
        return NOTHING
    by_unit = or_(Step.unit_id.in_(units), Step.opened_by.in_(units))
    return exists().where(Step.incident_id == Incident.id, by_unit).correlate(Incident)


def _is_informed(caller: Caller) -> ColumnElement[bool]:
    """知会: reads only."""
    units = caller.unit_ids(*STEPPING)
    if not units:
        return NOTHING
    told = exists().where(InformedUnit.incident_id == Incident.id, InformedUnit.unit_id.in_(units))
    return and_(Incident.sealed.is_(False), told.correlate(Incident))
