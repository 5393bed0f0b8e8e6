"""What is promised of every matter at any time, and how an attempt at it may end."""

from datetime import datetime
from typing import Any

from app.incidents.chain import first_break
from app.incidents.status import BY_ACTION, FINAL, FREE, Action, State, edges
from tests.incidents.filled import FITTING, MAY_NOT_FIT
from tests.incidents.paths import Rows

EDGES = {(source and str(source), str(target)) for source, target in edges()}


def expected(action: Action, shown: dict[str, Any] | None, fields: dict[str, Any]) -> set[int]:
    """The statuses with which an attempt may end, told from what the person was shown before."""
    if shown is None:
        return {404}
    if fields.get("revision") != shown["revision"] and action not in FREE:
        return {403, 428} if fields.get("revision") is None else {403, 412}
    if action not in shown["allowed_actions"]:
        # a way up or down that does not exist is said so to who else could take it
        nowhere = action in FITTING or action is Action.ESCALATE
        return {403, 409, 422} if nowhere else {403, 409}
    if action in FITTING and "to_unit" in fields:
        fits = FITTING[action].get(shown["owner"]["code"]) == fields["to_unit"]
        return {200} if fits else {200, 422}
    if action in MAY_NOT_FIT:
        return {200, 422}
    whole = fields.keys() >= BY_ACTION[action].needs
    proven = action is not Action.SELF_HANDLE or shown["attachments"]
    return {200} if whole and proven else {422}


def revisions(moved: bool | None) -> set[int]:  # noqa: FBT001 - three answers, not a switch
    return set(range(60)) if moved is None else {1} if moved else {0}


def has_one_owner(rows: Rows) -> None:
    incident = rows.incident
    assert incident.owner_unit_id is not None
    current = rows.current
    assert len(current) <= 1
    assert incident.current_step_id == (current[0].id if current else None)
    if current:
        (step,) = current
        assert (step.unit_id, step.state) == (incident.owner_unit_id, incident.state)
        assert incident.state not in FINAL
    else:
        unrouted = not rows.steps and incident.state in {State.SUBMITTED, State.VOIDED}
        assert incident.state in FINAL or unrouted or incident.self_handled
    if incident.state in {State.CLOSED, State.REJECTED, State.HANDLED}:
        assert incident.outcome


def has_a_legal_history(rows: Rows) -> None:
    assert first_break(rows.history) is None
    incident, last = rows.incident, rows.history[-1]
    assert (incident.history_seq, incident.history_head) == (last.seq, last.hash)
    assert last.to_state == incident.state
    states = [entry.to_state for entry in rows.history]
    assert [entry.from_state for entry in rows.history] == [None, *states[:-1]]
    for entry in rows.history:
        assert (entry.from_state, entry.to_state) in EDGES


def left_its_events(rows: Rows) -> None:
    """The report, every file, and every entry of the history after the first."""
    told = [event.payload["history_seq"] for event in rows.events if "history_seq" in event.payload]
    assert sorted(set(told)) == [entry.seq for entry in rows.history[1:]]
    assert rows.events[0].name == "incident.reported"


def never_began_earlier(last: datetime | None, rows: Rows) -> datetime | None:
    """F23: no clock begins before the one it follows. The last begin there was."""
    began = rows.current[0].clock_started_at if rows.current else None
    if began is None:
        return last
    assert last is None or began >= last
    assert began >= rows.incident.received_at
    return began


def keeps_its_deadline(before: Rows, after: Rows) -> None:
    """A running clock ends later by what was granted or suspended, earlier as urgency rises."""
    old, new = before.current[:1], after.current[:1]
    if not old or not new or _clock(old[0]) is None or _clock(old[0]) != _clock(new[0]):
        return
    (was,), (now,) = old, new
    assert was.due_at is not None
    assert now.due_at is not None
    if before.incident.urgency != after.incident.urgency:
        assert now.due_at <= was.due_at
        return
    given = (was.extension_days, was.suspended_s), (now.extension_days, now.suspended_s)
    assert now.due_at >= was.due_at
    assert given[0] != given[1] or now.due_at == was.due_at
    assert given[0] <= given[1]


def _clock(step: Any) -> tuple[Any, ...] | None:
    """What stays the same as long as one clock runs."""
    running = step.due_at is not None and step.clock_started_at is not None
    return (step.id, step.stage, step.clock_started_at) if running else None
