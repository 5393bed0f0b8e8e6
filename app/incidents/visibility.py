"""The one place that decides which incidents exist for a caller; outside it, there are none."""

from sqlalchemy import ColumnElement, and_, exists, literal_column, or_
from sqlalchemy.orm import InstrumentedAttribute

from app.accounts.caller import Caller, Holding
from app.accounts.models import Person, RoleHolding, Unit
from app.accounts.permissions import Role
from app.incidents.list_models import Sight
from app.incidents.models import Incident, Step
from app.incidents.status import State

_OVERSEEING = (Role.DISPATCHER, Role.SUPERVISOR, Role.GRID_MANAGER)
_STEPPING = (Role.DISPATCHER, Role.HANDLER)

_LEVEL_COLUMN: dict[str, InstrumentedAttribute[str] | InstrumentedAttribute[str | None]] = {
    "village": Incident.village_code,
    "township": Incident.township_code,
    "district": Incident.district_code,
}


def visible_to(caller: Caller) -> ColumnElement[bool]:
    """A WHERE clause. Sealed matters: their reporter and the people of units with a step only."""
    return or_(*seen_in_ways(caller))


def seen_in_ways(caller: Caller) -> list[ColumnElement[bool]]:
    """The parts of `visible_to`, in the order of `ways_to_see`; about an Incident alone."""
    by_step = (exists().where(way).correlate(Incident) for way in _ways_by_step(caller))
    return [*_ways_by_place(caller), *by_step]


def ways_to_see(caller: Caller) -> list[ColumnElement[bool]]:
    """What `visible_to` allows, way by way, the widest first: each has an index of its own.

    Conditions on Incident, or on Incident and Sight together; together they are one inner join.
    """
    return [*_ways_by_place(caller), *_ways_by_step(caller)]


def _ways_by_place(caller: Caller) -> list[ColumnElement[bool]]:
    return [
        *(and_(Incident.sealed.is_(False), place) for place in _reach(caller)),
        Incident.reporter_id == caller.id,
        and_(Incident.entered_by == caller.id, Incident.entered_by != Incident.reporter_id),
        *_is_asked_to_verify(caller),
    ]


def _ways_by_step(caller: Caller) -> list[ColumnElement[bool]]:
    overseen = {held.unit_id for held in _overseen(caller)}
    sight = and_(Sight.incident_id == Incident.id, Sight.received_at == Incident.received_at)
    people = (
        and_(sight, Sight.unit_id == unit_id, Sight.alone)
        if unit_id in overseen
        # an overseer sees the others by their place
        else and_(sight, Sight.unit_id == unit_id)
        for unit_id in sorted(caller.unit_ids(*_STEPPING))
    )
    machine = (
        and_(sight, Sight.unit_id == unit_id, Incident.sealed.is_(False))
        for unit_id in sorted(caller.unit_ids(Role.PLATFORM))
    )
    return [*people, *machine]


def knows_reporter(caller: Caller, incident: Incident) -> bool:
    """Of a sealed matter only the centres above its place know who reported it."""
    if not incident.sealed or caller.id in (incident.reporter_id, incident.entered_by):
        return True
    return any(_covers(held, incident) for held in caller.holds(Role.DISPATCHER))


def _covers(held: Holding, incident: Incident) -> bool:
    column = _LEVEL_COLUMN.get(held.level)
    inside = column is not None and getattr(incident, column.key) == held.area_code
    return held.kind == "centre" and inside


def _overseen(caller: Caller) -> list[Holding]:
    return [
        held
        for held in caller.holds(*_OVERSEEING)
        if held.kind == "centre" and held.level in _LEVEL_COLUMN
    ]


def _reach(caller: Caller) -> list[ColumnElement[bool]]:
    below = {(held.level, held.area_code) for held in _overseen(caller)}
    clauses = [_LEVEL_COLUMN[level] == code for level, code in sorted(below)]
    if caller.holds(Role.GRID_WORKER):
        clauses += [Incident.grid_code == code for code in sorted(caller.grid_codes)]
    return clauses


def _is_asked_to_verify(caller: Caller) -> list[ColumnElement[bool]]:
    """A sealed matter of the centre below, in which nobody but who completed it could verify."""
    units = caller.unit_ids(Role.DISPATCHER)
    if not units:
        return []
    somebody_else = exists().where(
        RoleHolding.unit_id == Step.opened_by,
        RoleHolding.role == Role.DISPATCHER.value,
        RoleHolding.person_id == Person.id,
        RoleHolding.person_id.is_distinct_from(Incident.completed_by),
        Person.state == "active",
    )
    asked = (
        exists()
        .where(
            Step.id == Incident.current_step_id,
            Unit.id == Step.opened_by,
            Unit.parent_id.in_(units),
            ~somebody_else.correlate(Step, Incident),
        )
        .correlate(Incident)
    )
    # the state as a literal: the partial index is chosen by it
    handled = Incident.state == literal_column(f"'{State.HANDLED}'")
    return [and_(Incident.sealed, handled, asked)]
