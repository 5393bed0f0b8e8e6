"""What happens by itself when a matter's time has come: windows end, clocks run out, it goes on.

The incident is locked by the caller. Each function moves the matter's next time on in the same
transaction, so that nothing happens twice however many workers look and however often they start.
"""

from collections.abc import Awaitable, Callable

from app.incidents.assignments import due_of
from app.incidents.overdue import assignment_ran_out, run_out
from app.incidents.staffed import staffed
from app.incidents.status import Happening, State
from app.incidents.steps import end, start_clock
from app.incidents.suspending import run_on
from app.incidents.waking import Waking, change, recall


async def wake(waking: Waking) -> None:
    """Do the first thing that is due in the matter's present state; what else is, comes next."""
    state = State(waking.incident.state)
    assignment = due_of(waking.incident, state)
    if assignment is not None and assignment <= waking.now:
        await assignment_ran_out(waking)
    else:
        await _DUE[state](waking)


async def _lapse(waking: Waking) -> None:
    waking.reason = "逾期未补正"
    await _end_as(waking, Happening.LAPSE, State.VOIDED)


async def _archive(waking: Waking) -> None:
    await _end_as(waking, Happening.ARCHIVE, State.ARCHIVED)


async def _end_as(waking: Waking, happening: Happening, after: State) -> None:
    incident, step = waking.incident, waking.step
    incident.current_step_id = incident.wakes_at = None
    if step is not None:
        step.state = after
        end(step, waking.now)
    await change(waking, happening, after)


async def _sign(waking: Waking) -> None:
    """The clock never waits for a signature; where nobody works it goes back instead."""
    unit = await waking.unit()
    if not await staffed(waking.session, unit):
        await recall(waking)
        return
    step = waking.current
    step.state = State.IN_PROGRESS
    start_clock(step, waking.incident, unit.level, waking.deadlines, waking.now)
    await change(waking, Happening.AUTO_SIGN, State.IN_PROGRESS)


async def _resume(waking: Waking) -> None:
    unit = await waking.unit()
    step, after = waking.current, State.IN_PROGRESS
    # a worker that comes late gives nobody more time
    until = min(waking.now, step.review_at or waking.now)
    run_on(waking.incident, step, unit.level, after, waking.deadlines, until)
    await change(waking, Happening.AUTO_RESUME, after)


_DUE: dict[State, Callable[[Waking], Awaitable[None]]] = {
    State.SUBMITTED: run_out,
    State.ACCEPTED: run_out,
    State.DISPATCHED: _sign,
    State.IN_PROGRESS: run_out,
    State.SUSPENDED: _resume,
    State.HANDLED: run_out,
    State.CLOSED: _archive,
    State.RETURNED: _lapse,
}
