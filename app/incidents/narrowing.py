"""What a list is narrowed to: each filter one clause, the same for list, count and export."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Text, cast, exists, or_, select

from app.accounts.caller import Caller
from app.accounts.models import Unit
from app.areas.datum import to_wgs84
from app.areas.locate import AreaMap
from app.categories.queries import CategoryTree
from app.incidents.list_schemas import Filters
from app.incidents.models import Incident, Step
from app.incidents.queues import waiting
from app.incidents.searching import said
from app.incidents.sorting import is_current, of_urgency

_METRES_A_DEGREE = 111_320.0


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, when, and the catalogues that filters name things of."""

    caller: Caller
    now: datetime
    areas: AreaMap
    categories: CategoryTree


def narrowed(asking: Asking, wanted: Filters) -> list[ColumnElement[bool]]:
    """WHERE clauses of the filters that are set."""
    now = asking.now
    possible: tuple[tuple[object, Callable[[], ColumnElement[bool]]], ...] = (
        (wanted.mine, lambda: Incident.reporter_id == asking.caller.id),
        (wanted.state, lambda: _one_of_states((wanted.state or "").split(","))),
        (wanted.category, lambda: _of_category(asking.categories, wanted.category or "")),
        (wanted.area, lambda: _within(asking.areas, wanted.area or "")),
        (wanted.unit, lambda: _owned_by(wanted.unit or "")),
        (wanted.urgency, lambda: of_urgency(wanted.urgency or "routine")),
        (wanted.overdue, lambda: _current_step(Step.due_at < now)),
        (wanted.supervision, lambda: _current_step(Step.supervision == wanted.supervision)),
        (wanted.queue, lambda: waiting(asking.caller, wanted.queue or "accept", now)),
        (wanted.since, lambda: Incident.received_at >= wanted.since),
        (wanted.until, lambda: Incident.received_at < wanted.until),
        (wanted.q, lambda: said(wanted.q or "")),
        (wanted.near, lambda: _near(wanted)),
    )
    return [clause() for is_set, clause in possible if is_set]


def is_narrow(wanted: Filters) -> bool:
    """What is left has an index of its own and is little: reading it way by way would cost more."""
    return bool(wanted.queue or wanted.mine)


def _one_of_states(states: list[str]) -> ColumnElement[bool]:
    # one state as an equation: its index is then read in the order of time
    return Incident.state == states[0] if len(states) == 1 else Incident.state.in_(states)


def _of_category(tree: CategoryTree, code: str) -> ColumnElement[bool]:
    """The category and everything below it; one that nobody knows holds nothing."""
    node = tree.get(code)
    if node is not None and node.parent_code is None:
        return Incident.root == code
    codes = [code, *(below.code for below in tree.in_order(code))]
    return Incident.category == codes[0] if len(codes) == 1 else Incident.category.in_(codes)


def _owned_by(reference: str) -> ColumnElement[bool]:
    """A unit by id or code; one that nobody knows owns nothing."""
    by_code = select(Unit.id).where(or_(Unit.code == reference, cast(Unit.id, Text) == reference))
    return Incident.owner_unit_id.in_(by_code)


def _current_step(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    running = exists().where(is_current, Step.ended_at.is_(None), condition)
    # a list in the order of due dates has steps of its own
    return running.correlate(Incident)


def _within(areas: AreaMap, code: str) -> ColumnElement[bool]:
    """An unknown area holds nothing."""
    node = areas.get(code)
    columns = {
        "district": Incident.district_code,
        "township": Incident.township_code,
        "village": Incident.village_code,
        "grid": Incident.grid_code,
    }
    column = columns.get(node.level) if node else None
    return Incident.area_code == code if column is None else column == code


def _near(wanted: Filters) -> ColumnElement[bool]:
    """Within so many metres, on the plane that touches the point: exact enough below 1,000 km."""
    lon, lat, metres = (float(part) for part in (wanted.near or "0,0,0").split(","))
    lon, lat = to_wgs84(lon, lat, wanted.datum)
    shrunk = max(math.cos(math.radians(lat)), 1e-6)
    east = (Incident.lon - lon) * (_METRES_A_DEGREE * shrunk)
    north = (Incident.lat - lat) * _METRES_A_DEGREE
    reach = metres / _METRES_A_DEGREE
    return (
        Incident.lat.between(lat - reach, lat + reach)
        & Incident.lon.between(lon - reach / shrunk, lon + reach / shrunk)
        & (east * east + north * north <= metres * metres)
    )
