"""Queues: what waits for the caller's own desk, stage by stage."""

from collections.abc import Collection
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select

from app.accounts.caller import Caller
from app.accounts.permissions import Role
from app.core.db import NOTHING
from app.incidents.models import Incident, Step
from app.incidents.sorting import is_current
from app.incidents.status import STAGES, Stage
from app.incidents.visibility import STEPPING, verifies_for_another

Queue = Literal["accept", "dispatch", "sign", "handle", "verify", "assist", "overdue"]
"""待受理, 待派遣, 待签收, 待处置, 待核查, 待协同, 超期."""
QUEUES: tuple[Queue, ...] = get_args(Queue)

_DESK = (Role.DISPATCHER,)
_WHO: dict[Stage, tuple[Role, ...]] = {
    "accept": _DESK,
    "dispatch": _DESK,
    "sign": STEPPING,
    "handle": STEPPING,
}


def waiting(caller: Caller, queue: Queue, now: datetime) -> ColumnElement[bool]:
    """Within what the caller sees: whose turn it is at the caller's units."""
    units = caller.unit_ids(*STEPPING)
    desks = caller.unit_ids(*_DESK)
    if not units:
        return NOTHING
    if queue == "overdue":
        own = and_(Step.unit_id.in_(units), Step.stage != "verify")
        verified = and_(Step.opened_by.in_(desks), Step.stage == "verify")
        # once it may act in another centre's place, what lies there is its own
        lain = Step.stand_in_unit_id.in_(desks)
        return _step(Step.due_at < now, or_(own, verified, lain))
    if queue == "assist":
        return _beside(units)
    if queue == "verify":
        here = _step(Step.due_at.is_not(None), Step.opened_by.in_(desks))
        return and_(_in("verify"), or_(here, verifies_for_another(caller)))
    return and_(_in(queue), Incident.owner_unit_id.in_(caller.unit_ids(*_WHO[queue])))


def _beside(units: Collection[UUID]) -> ColumnElement[bool]:
    """A step of the units runs beside the one that leads (协办)."""
    running = (Step.unit_id.in_(units), Step.assists.is_not(None), Step.ended_at.is_(None))
    return Incident.id.in_(select(Step.incident_id).where(*running).correlate(None))


def _in(stage: Stage) -> ColumnElement[bool]:
    return Incident.state.in_([state for state, runs in STAGES.items() if runs == stage])


def _step(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(is_current, *conditions).correlate(Incident)
