"""Queues: what waits for the caller's own desk, stage by stage."""

from collections.abc import Collection
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, literal_column, or_, select

from app.accounts.caller import Caller
from app.accounts.permissions import Role
from app.core.db import NOTHING
from app.incidents.models import Incident, Step
from app.incidents.sorting import is_current
from app.incidents.status import STAGES, Stage, State

Queue = Literal["accept", "dispatch", "sign", "handle", "verify", "assist", "overdue"]
"""待受理, 待派遣, 待签收, 待处置, 待核查, 待协同, 超期."""
QUEUES: tuple[Queue, ...] = get_args(Queue)

_DESK = (Role.DISPATCHER,)
_STAFF = (Role.DISPATCHER, Role.HANDLER)
_WHO: dict[Stage, tuple[Role, ...]] = {
    "accept": _DESK,
    "dispatch": _DESK,
    "sign": _STAFF,
    "handle": _STAFF,
}


def waiting(caller: Caller, queue: Queue, now: datetime) -> ColumnElement[bool]:
    """Within what the caller sees: whose turn it is at the caller's units."""
    units = caller.unit_ids(*_STAFF)
    desks = caller.unit_ids(*_DESK)
    if not units:
        return NOTHING
    if queue == "overdue":
        own = and_(Step.unit_id.in_(units), Step.stage != "verify")
        verified = and_(Step.opened_by.in_(desks), Step.stage == "verify")
        return _step(Step.due_at < now, or_(own, verified))
    if queue == "assist":
        return _beside(units)
    if queue == "verify":
        return and_(_in("verify"), _step(Step.due_at.is_not(None), Step.opened_by.in_(desks)))
    return and_(_in(queue), Incident.owner_unit_id.in_(caller.unit_ids(*_WHO[queue])))


def _beside(units: Collection[UUID]) -> ColumnElement[bool]:
    """A step of the units runs beside the one that leads."""
    # the state as a literal: the partial index is chosen by it
    at_work = Step.state == literal_column(f"'{State.IN_PROGRESS}'")
    running = (Step.unit_id.in_(units), at_work, Step.ended_at.is_(None))
    beside = Step.id.is_distinct_from(Incident.current_step_id)
    return and_(
        # said twice: from these few steps the matters are found, not from all matters these few
        Incident.id.in_(select(Step.incident_id).where(*running)),
        exists().where(Step.incident_id == Incident.id, *running, beside).correlate(Incident),
    )


def _in(stage: Stage) -> ColumnElement[bool]:
    return Incident.state.in_([state for state, runs in STAGES.items() if runs == stage])


def _step(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(is_current, *conditions).correlate(Incident)
