"""Orders of a list: what a page is sorted by, and where the next one begins."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, literal_column, true, tuple_

from app.incidents.models import Incident, Step
from app.incidents.schemas import Urgency

Sort = Literal["-received_at", "received_at", "due_at", "-urgency"]
Edge = Sequence[Any]
"""The key of the last row shown, as its cursor holds it."""

_PRESSING: tuple[Urgency, ...] = ("critical", "urgent", "complex", "routine")
is_current = and_(Step.id == Incident.current_step_id, Step.incident_id == Incident.id)
"""The second half tells nothing new, but leads from a step to its incident by the primary key."""
_rank = case({name: rank for rank, name in enumerate(_PRESSING)}, value=Incident.urgency)


@dataclass(frozen=True, slots=True)
class Order:
    """`slices`: conditions that cut what comes after the edge into parts, each read by an index."""

    key: tuple[Any, ...]
    by: tuple[ColumnElement[Any], ...]
    slices: Callable[[Edge | None], Sequence[ColumnElement[bool]]]
    joins: ColumnElement[bool] | None = None
    """How a step belongs to its incident, where the key is the step's."""
    within: tuple[ColumnElement[Any], ...] | None = None
    """The order inside a slice, where that is simpler: an index gives it."""


def position(key: Sequence[Any]) -> list[Any]:
    """A row's key in the form a cursor keeps."""
    return [
        value.isoformat() if isinstance(value, datetime) else value if isinstance(value, int)
        else str(value)
        for value in key
    ]  # fmt: skip


def _newest(edge: Edge | None) -> Sequence[ColumnElement[bool]]:
    return [tuple_(Incident.received_at, Incident.id) < _moment(edge) if edge else true()]


def _oldest(edge: Edge | None) -> Sequence[ColumnElement[bool]]:
    return [tuple_(Incident.received_at, Incident.id) > _moment(edge) if edge else true()]


def _due(edge: Edge | None) -> Sequence[ColumnElement[bool]]:
    """Matters whose clock runs: others are never due."""
    running = and_(is_current, Step.due_at.is_not(None), Step.ended_at.is_(None))
    after = tuple_(Step.due_at, Incident.id) > _moment(edge) if edge else true()
    return [and_(running, after)]


def _pressing(edge: Edge | None) -> Sequence[ColumnElement[bool]]:
    """Urgency by urgency: one index in the order of time serves all of them."""
    return list(_urgencies(edge))


def _urgencies(edge: Edge | None) -> Iterator[ColumnElement[bool]]:
    for rank, name in enumerate(_PRESSING):
        if edge is None or rank > edge[0]:
            yield of_urgency(name)
        elif rank == edge[0]:
            yield and_(of_urgency(name), *_newest(edge[1:]))


def of_urgency(name: Urgency) -> ColumnElement[bool]:
    """As a literal: the index of those that are not routine is chosen by it."""
    return Incident.urgency == literal_column(f"'{name}'")


def _moment(edge: Edge) -> Any:  # noqa: ANN401 - a row of SQL
    return tuple_(datetime.fromisoformat(edge[0]), UUID(edge[1]))


ORDERS: dict[Sort, Order] = {
    "-received_at": Order(
        (Incident.received_at, Incident.id),
        (Incident.received_at.desc(), Incident.id.desc()),
        _newest,
    ),
    "received_at": Order(
        (Incident.received_at, Incident.id),
        (Incident.received_at.asc(), Incident.id.asc()),
        _oldest,
    ),
    "due_at": Order(
        (Step.due_at, Incident.id), (Step.due_at.asc(), Incident.id.asc()), _due, is_current
    ),
    "-urgency": Order(
        (_rank, Incident.received_at, Incident.id),
        (_rank.asc(), Incident.received_at.desc(), Incident.id.desc()),
        _pressing,
        within=(Incident.received_at.desc(), Incident.id.desc()),
    ),
}
"""`-urgency`: the most pressing first, of those the newest."""
