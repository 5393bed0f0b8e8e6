"""The one place that decides which incidents exist for a caller; outside it, there are none."""

from sqlalchemy import ColumnElement, and_, exists, false, or_
from sqlalchemy.orm import InstrumentedAttribute

from app.accounts.caller import Caller, Holding
from app.accounts.models import Person, RoleHolding, Unit
from app.accounts.permissions import Role
from app.incidents.models import Incident, InformedUnit, Step
from app.incidents.opening_models import Clearance
from app.incidents.status import State

_STEPPING = (Role.DISPATCHER, Role.HANDLER)
_OVERSEEING = (Role.DISPATCHER, Role.SUPERVISOR, Role.GRID_MANAGER)

_LEVEL_COLUMN: dict[str, InstrumentedAttribute[str] | InstrumentedAttribute[str | None]] = {
    "village": Incident.village_code,
    "township": Incident.township_code,
    "district": Incident.district_code,
}


def visible_to(caller: Caller) -> ColumnElement[bool]:
    """A WHERE clause. Sealed matters: their reporter and the people of units with a step only."""
    own = or_(Incident.reporter_id == caller.id, Incident.entered_by == caller.id)
    machine = _has_step(caller, Role.PLATFORM)
    return or_(
        own,
        and_(Incident.sealed.is_(False), or_(machine, *_reach(caller))),
        _has_step(caller, Role.DISPATCHER),
        _handles(caller),
        and_(Incident.sealed, _is_cleared(caller, Clearance.broke_glass.is_(True))),
        _is_asked_to_verify(caller),
        _is_asked_to_act(caller),
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
        return any(covers(held, incident) for held in caller.holds(Role.DISPATCHER))
    return bool(caller.holds(*_OVERSEEING, *_STEPPING, Role.PLATFORM))


def covers(held: Holding, incident: Incident) -> bool:
    """A centre in whose area the matter lies."""
    column = _LEVEL_COLUMN.get(held.level)
    inside = column is not None and getattr(incident, column.key) == held.area_code
    return held.kind == "centre" and inside


def _reach(caller: Caller) -> list[ColumnElement[bool]]:
    clauses = [_below(held) for held in caller.holds(*_OVERSEEING) if held.kind == "centre"]
    if caller.grid_codes and caller.holds(Role.GRID_WORKER):
        clauses.append(Incident.grid_code.in_(sorted(caller.grid_codes)))
    return clauses


def _below(held: Holding) -> ColumnElement[bool]:
    column = _LEVEL_COLUMN.get(held.level)
    return false() if column is None else column == held.area_code


def _handles(caller: Caller) -> ColumnElement[bool]:
    """A sealed matter with a list (知悉名单): only the handlers who stand on it."""
    listed = exists().where(Clearance.incident_id == Incident.id, Clearance.broke_glass.is_(False))
    on_it = _is_cleared(caller, Clearance.broke_glass.is_(False))
    return and_(_has_step(caller, Role.HANDLER), or_(Incident.sealed.is_(False), ~listed, on_it))


def _is_cleared(caller: Caller, how: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(
        Clearance.incident_id == Incident.id, Clearance.person_id == caller.id, how
    )


def _has_step(caller: Caller, *roles: Role) -> ColumnElement[bool]:
    units = caller.unit_ids(*roles)
    if not units:
        return false()
    return exists().where(
        Step.incident_id == Incident.id,
        or_(Step.unit_id.in_(units), Step.opened_by.in_(units)),
    )


def _is_asked_to_verify(caller: Caller) -> ColumnElement[bool]:
    """A sealed matter of the centre below, in which nobody but who completed it could verify."""
    units = caller.unit_ids(Role.DISPATCHER)
    if not units:
        return false()
    somebody_else = exists().where(
        RoleHolding.unit_id == Step.opened_by,
        RoleHolding.role == Role.DISPATCHER.value,
        RoleHolding.person_id == Person.id,
        RoleHolding.person_id.is_distinct_from(Incident.completed_by),
        Person.state == "active",
    )
    return and_(
        Incident.sealed,
        Incident.state == State.HANDLED,
        exists().where(
            Step.id == Incident.current_step_id,
            Unit.id == Step.opened_by,
            Unit.parent_id.in_(units),
            ~somebody_else.correlate(Step, Incident),
        ),
    )


def _is_asked_to_act(caller: Caller) -> ColumnElement[bool]:
    """In the place of a centre that let its time run out, or for a second extension."""
    units = caller.unit_ids(Role.DISPATCHER)
    if not units:
        return false()
    return exists().where(
        Step.id == Incident.current_step_id,
        or_(Step.stand_in_unit_id.in_(units), Step.decider_unit_id.in_(units)),
    )


def _is_informed(caller: Caller) -> ColumnElement[bool]:
    """知会: reads only."""
    units = caller.unit_ids(*_STEPPING)
    if not units:
        return false()
    return and_(
        Incident.sealed.is_(False),
        exists().where(InformedUnit.incident_id == Incident.id, InformedUnit.unit_id.in_(units)),
    )
