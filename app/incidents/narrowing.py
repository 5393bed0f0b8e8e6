"""What a list is narrowed to: each filter one clause, the same for list, count and export."""

import math
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

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
    possible: list[tuple[object, ColumnElement[bool]]] = [
        (wanted.mine, Incident.reporter_id == caller.id),
        (wanted.state, Incident.state.in_((wanted.state or "").split(","))),
        (wanted.category, _of_category(wanted.category or "")),
        (wanted.area, _within(areas, wanted.area or "")),
        (wanted.unit, Incident.owner_unit_id.in_(_unit(wanted.unit or ""))),
        (wanted.urgency, Incident.urgency == wanted.urgency),
        (wanted.overdue, _current_step(Step.due_at < now)),
        (wanted.supervision, _current_step(Step.supervision == wanted.supervision)),
        (wanted.since, Incident.received_at >= wanted.since),
        (wanted.until, Incident.received_at < wanted.until),
        (wanted.q, Incident.text.contains(wanted.q or "", autoescape=True)),
        (wanted.near, _near(wanted)),
    ]
    return [clause for is_set, clause in possible if is_set]


def _of_category(code: str) -> ColumnElement[bool]:
    return or_(Incident.root == code, Incident.category == code)


def _unit(reference: str) -> ColumnElement[UUID]:
    """By id or code; a unit nobody knows owns nothing."""
    return select(Unit.id).where(  # type: ignore[return-value]  # a scalar subquery serves IN
        or_(Unit.code == reference, func.cast(Unit.id, Unit.code.type) == reference)
    )


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
