"""More time: extensions asked for and granted, and suspension (挂账), which stops the clock."""

from datetime import datetime, time, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Unit
from app.accounts.queries import parent_centre
from app.deadlines.limits import Deadlines
from app.incidents import errors
from app.incidents.models import Incident, Step
from app.incidents.moving import Move
from app.incidents.status import State
from app.incidents.steps import plan, set_due, stop_clock
from app.incidents.windows import LONGEST_SUSPENSION


async def request_extension(moving: Move, after: State) -> None:
    """Asked before expiry; nothing moves until it is decided."""
    del after  # the state stays
    step, days = moving.current, moving.command.days or 0
    unit = await moving.unit()
    incident = moving.incident
    rule = moving.deadlines.limit("handle", incident.category, incident.urgency, unit.level)
    most = rule.extension_days_max
    if days < 1 or (most is not None and step.extension_days + days > most):
        raise errors.ExtensionTooLong(most=None if most is None else most - step.extension_days)
    step.extension_asked = days
    step.decider_unit_id = await _decider(moving.session, step)
    moving.facts["days"] = days
    moving.informs = (step.decider_unit_id,)


async def _decider(session: AsyncSession, step: Step) -> UUID:
    """The dispatching centre; its parent for a second one, or where it would decide for itself."""
    centre = await session.get_one(Unit, step.opened_by)
    first = step.extensions_granted == 0 and step.unit_id != centre.id and centre.active
    parent = None if first else await parent_centre(session, centre)
    return parent.id if parent else centre.id


async def decide_extension(moving: Move, after: State) -> None:
    """Days granted stand apart from days asked; none granted is a refusal."""
    del after  # the state stays
    step, days = moving.current, moving.command.days or 0
    asked = step.extension_asked or 0
    if days > asked:
        raise errors.ExtensionTooLong(most=asked)
    step.extension_asked = step.decider_unit_id = None
    moving.facts |= {"asked": asked, "days": days}
    if days == 0:
        return
    step.extension_days += days
    step.extensions_granted += 1
    unit = await moving.unit()
    set_due(step, moving.incident, unit.level, moving.deadlines)
    _runs_again(moving.incident, step, moving.now)


async def request_suspension(moving: Move, after: State) -> None:
    del after  # the state stays until the centre has decided
    step = moving.current
    _check_review(moving)
    step.suspension_asked_on = moving.command.review_on
    moving.facts["review_on"] = str(moving.command.review_on)
    moving.informs = (step.opened_by,)


async def suspend(moving: Move, after: State) -> None:
    """The clock stands still until the review date, asked for or set by the centre."""
    step, incident = moving.current, moving.incident
    review_on = moving.command.review_on or step.suspension_asked_on
    if review_on is None:
        raise errors.FieldRequired(field="review_on")
    _check_review(moving)
    started = max(moving.now, incident.moved_at or incident.received_at)
    incident.moved_at = started
    step.state = after
    step.suspended_at = started
    step.review_at = datetime.combine(review_on, time(), moving.deadlines.zone)
    if step.review_at <= started:
        raise errors.ReviewDateInvalid
    step.suspension_asked_on = step.extension_asked = step.decider_unit_id = None
    stop_clock(step)
    plan(incident, after, step)
    moving.facts["review_on"] = str(review_on)


async def resume(moving: Move, after: State) -> None:
    unit = await moving.unit()
    run_on(moving.incident, moving.current, unit.level, after, moving.deadlines, moving.now)


def run_on(
    incident: Incident, step: Step, level: str, after: State, deadlines: Deadlines, now: datetime
) -> None:
    """The clock goes on where it stood: the time suspended is subtracted as its limit counts."""
    resumed = max(now, incident.moved_at or incident.received_at)
    rule = deadlines.limit("handle", incident.category, incident.urgency, level)
    since = step.suspended_at or resumed
    stood = deadlines.elapsed(rule.calendar, since, resumed, step.unit_id)
    step.suspended_s += max(stood // timedelta(seconds=1), 0)
    step.suspended_at = step.review_at = None
    step.state, step.stage = after, "handle"
    step.clock_started_at = step.handling_since
    incident.moved_at = resumed
    set_due(step, incident, level, deadlines)
    _runs_again(incident, step, now)


def _runs_again(incident: Incident, step: Step, now: datetime) -> None:
    """What is no longer overdue may become so anew; a card already drawn is not drawn again."""
    if step.due_at is not None and step.due_at > now:
        step.clock_phase = "running"
    plan(incident, State.IN_PROGRESS, step)


def _check_review(moving: Move) -> None:
    """A day to come, and not for ever."""
    review_on = moving.command.review_on
    today = moving.now.astimezone(moving.deadlines.zone).date()
    if review_on is not None and not today < review_on <= today + LONGEST_SUSPENSION:
        raise errors.ReviewDateInvalid
