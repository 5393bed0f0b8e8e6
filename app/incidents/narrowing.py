"""What a list is narrowed to: each filter one clause, the same for list, count and export."""

import math
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import ColumnElement, Text, and_, cast, exists, or_, select

from app.accounts.caller import Caller
from app.accounts.models import Unit
from app.areas.datum import to_wgs84
from app.areas.locate import AreaMap
from app.incidents.models import Incident, Step
from app.incidents.schemas import ListQuery

_METRES_A_DEGREE = 111_320.0


def narrowed(
    caller: Caller, wanted: ListQuery, areas: AreaMap, now: datetime
) -> list[ColumnElement[bool]]:
    """WHERE clauses of the filters that are set."""
    possible: tuple[tuple[object, Callable[[], ColumnElement[bool]]], ...] = (
        (wanted.mine, lambda: Incident.reporter_id == caller.id),
        (wanted.state, lambda: Incident.state.in_((wanted.state or "").split(","))),
        (wanted.category, lambda: _of_category(wanted.category or "")),
        (wanted.area, lambda: _within(areas, wanted.area or "")),
        (wanted.unit, lambda: _owned_by(wanted.unit or "")),
        (wanted.urgency, lambda: Incident.urgency == wanted.urgency),
        (wanted.overdue, lambda: _current_step(Step.due_at < now)),
        (wanted.supervision, lambda: _current_step(Step.supervision == wanted.supervision)),
        (wanted.since, lambda: Incident.received_at >= wanted.since),
        (wanted.until, lambda: Incident.received_at < wanted.until),
        # what is sealed is not searched: its text is no text
        (
            wanted.q,
            lambda: and_(
                Incident.sealed.is_(False), Incident.text.contains(wanted.q, autoescape=True)
            ),
        ),
        (wanted.near, lambda: _near(wanted)),
    )
    return [clause() for is_set, clause in possible if is_set]


def _of_category(code: str) -> ColumnElement[bool]:
    return or_(Incident.root == code, Incident.category == code)


def _owned_by(reference: str) -> ColumnElement[bool]:
    """A unit by id or code; one that nobody knows owns nothing."""
    by_code = select(Unit.id).where(or_(Unit.code == reference, cast(Unit.id, Text) == reference))
    return Incident.owner_unit_id.in_(by_code)


def _current_step(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(and_(Step.id == Incident.current_step_id, condition))


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


def _near(wanted: ListQuery) -> ColumnElement[bool]:
    """Within so many metres, on the plane that touches the point: exact enough below 1,000 km."""
    lon, lat, metres = (float(part) for part in (wanted.near or "0,0,0").split(","))
    lon, lat = to_wgs84(lon, lat, wanted.datum)
    shrunk = max(math.cos(math.radians(lat)), 1e-6)
    east = (Incident.lon - lon) * (_METRES_A_DEGREE * shrunk)
    north = (Incident.lat - lat) * _METRES_A_DEGREE
    reach = metres / _METRES_A_DEGREE
    return and_(
        Incident.lat.between(lat - reach, lat + reach),
        Incident.lon.between(lon - reach / shrunk, lon + reach / shrunk),
        east * east + north * north <= metres * metres,
    )
