"""What `visible_to` allows, way by way, for lists: each way is read in order from an index.

The same set by other means; a test compares the two for everybody.
"""

from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_

from app.accounts.caller import Caller
from app.accounts.permissions import Role
from app.incidents.list_models import Sight
from app.incidents.models import Incident
from app.incidents.visibility import (
    STEPPING,
    broke_glass,
    is_asked_to_act,
    is_asked_to_verify,
    may_know,
    overseen,
    reach,
)

Way = ColumnElement[bool]

_OPEN = Incident.sealed.is_(False)


def ways_to_see(caller: Caller) -> list[Way]:
    """The widest first. Conditions on Incident, or on Incident and Sight: one inner join."""
    return [*_by_itself(caller), *_by_sight(caller)]


def seen_in_ways(caller: Caller) -> list[Way]:
    """The same ones in the same order, each about an Incident alone."""
    by_sight = (exists().where(way).correlate(Incident) for way in _by_sight(caller))
    return [*_by_itself(caller), *by_sight]


def _by_itself(caller: Caller) -> list[Way]:
    asked = (is_asked_to_verify(caller), is_asked_to_act(caller))
    return [
        *(and_(_OPEN, place) for place in reach(caller)),
        Incident.reporter_id == caller.id,
        and_(Incident.entered_by == caller.id, Incident.entered_by != Incident.reporter_id),
        *(asked if caller.holds(Role.DISPATCHER) else ()),
        broke_glass(caller),
    ]


def _by_sight(caller: Caller) -> Iterator[Way]:
    """By a step of one of the caller's units, or as one that was informed."""
    dispatching = caller.unit_ids(Role.DISPATCHER)
    by_place = {held.unit_id for held in overseen(caller)}
    for unit_id in sorted(caller.unit_ids(*STEPPING)):
        sight: Way = _sight(unit_id)
        if unit_id in by_place:
            # an overseer sees the others by their place
            sight = and_(sight, Sight.alone)
        stepped: Way = Sight.informed.is_(False)
        if unit_id not in dispatching:
            stepped = and_(stepped, may_know(caller))
        yield and_(sight, or_(_OPEN, stepped))
    for unit_id in sorted(caller.unit_ids(Role.PLATFORM)):
        yield and_(_sight(unit_id), _OPEN, Sight.informed.is_(False))


def _sight(unit_id: UUID) -> Way:
    return and_(
        Sight.incident_id == Incident.id,
        Sight.received_at == Incident.received_at,
        Sight.unit_id == unit_id,
    )
