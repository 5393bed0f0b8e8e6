"""The transitions table: states and allowed moves are data (2-domain §3, normative)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class State(StrEnum):
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    DISPATCHED = "dispatched"
    IN_PROGRESS = "in_progress"
    HANDLED = "handled"
    CLOSED = "closed"
    RETURNED = "returned"
    REJECTED = "rejected"
    VOIDED = "voided"


class Action(StrEnum):
    """The table's actions; a phone sends them by these names."""

    ACCEPT = "accept"
    RETURN = "return"
    RESUBMIT = "resubmit"
    WITHDRAW = "withdraw"
    REJECT = "reject"
    ESCALATE = "escalate"
    HAND_DOWN = "hand_down"
    DISPATCH = "dispatch"
    SIGN = "sign"
    REFUSE = "refuse"
    HANDLE_HERE = "handle_here"
    PROGRESS = "progress"
    COMPLETE = "complete"
    VERIFY_PASS = "verify_pass"  # noqa: S105 - an action, not a password
    VERIFY_FAIL = "verify_fail"
    SELF_HANDLE = "self_handle"
    RATE = "rate"
    COMMENT = "comment"


class Happening(StrEnum):
    """What the history tells beyond the table's actions; nobody sends these as a transition."""

    REPORT = "report"
    ROUTE = "route"
    SUPPLEMENT = "supplement"
    RAISER_INFORMED = "raiser_informed"
    """已回告: by the reporter, with an acknowledgement."""


class Who(StrEnum):
    """Whose move it is; `rights` finds out whether the caller stands there."""

    REPORTER = "reporter"
    OWNER = "owner"
    """A dispatcher of the centre that owns the current step."""
    VILLAGE_OWNER = "village_owner"
    """The same, where that centre is a village's."""
    HANDLER = "handler"
    """A handler of the unit that owns the step; in a centre its dispatchers."""
    VERIFIER = "verifier"
    """A dispatcher of `step.opened_by`, another person than the one who completed."""
    ANYONE_INVOLVED = "anyone_involved"
    """The reporter, and staff of units with a step."""


Stage = Literal["accept", "dispatch", "sign", "handle", "verify"]

STAGES: dict[State, Stage] = {
    State.SUBMITTED: "accept",
    State.ACCEPTED: "dispatch",
    State.DISPATCHED: "sign",
    State.IN_PROGRESS: "handle",
    State.HANDLED: "verify",
}
"""Which clock runs in a state; in the others none does."""

FINAL = frozenset({State.REJECTED, State.VOIDED})
"""Nothing moves any more and no step is current."""
ENDED = FINAL | {State.CLOSED}
OPEN = frozenset(State) - ENDED


@dataclass(frozen=True, slots=True)
class Transition:
    action: Action
    sources: frozenset[State]
    target: State | None
    """None: the state stays."""
    who: Who
    needs: frozenset[str] = frozenset()
    """Fields of the command without which the move is refused."""
    new_step: bool = False


def _row(
    action: Action,
    sources: set[State] | frozenset[State],
    target: State | None,
    who: Who,
    *needs: str,
    new_step: bool = False,
) -> Transition:
    return Transition(action, frozenset(sources), target, who, frozenset(needs), new_step)


S, A, W = State, Action, Who

TRANSITIONS: tuple[Transition, ...] = (
    _row(A.ACCEPT, {S.SUBMITTED}, S.ACCEPTED, W.OWNER),
    _row(A.RETURN, {S.SUBMITTED}, S.RETURNED, W.OWNER, "reason"),
    _row(A.REJECT, {S.SUBMITTED}, S.REJECTED, W.OWNER, "reason"),
    _row(A.ESCALATE, {S.SUBMITTED, S.ACCEPTED}, S.SUBMITTED, W.OWNER, "reason", new_step=True),
    _row(A.HAND_DOWN, {S.ACCEPTED}, S.SUBMITTED, W.OWNER, "to_unit", new_step=True),
    _row(A.DISPATCH, {S.ACCEPTED}, S.DISPATCHED, W.OWNER, "to_unit", new_step=True),
    _row(A.HANDLE_HERE, {S.ACCEPTED}, S.IN_PROGRESS, W.OWNER),
    _row(A.SELF_HANDLE, {S.SUBMITTED}, S.CLOSED, W.VILLAGE_OWNER, "outcome"),
    _row(A.WITHDRAW, {S.SUBMITTED, S.RETURNED}, S.VOIDED, W.REPORTER),
    _row(A.RESUBMIT, {S.RETURNED}, S.SUBMITTED, W.REPORTER),
    _row(A.SIGN, {S.DISPATCHED}, S.IN_PROGRESS, W.HANDLER),
    _row(A.REFUSE, {S.DISPATCHED, S.IN_PROGRESS}, S.ACCEPTED, W.HANDLER, "reason", new_step=True),
    _row(A.PROGRESS, {S.IN_PROGRESS}, None, W.HANDLER, "text"),
    _row(A.COMPLETE, {S.IN_PROGRESS}, S.HANDLED, W.HANDLER, "outcome"),
    _row(A.VERIFY_PASS, {S.HANDLED}, S.CLOSED, W.VERIFIER),
    _row(A.VERIFY_FAIL, {S.HANDLED}, S.IN_PROGRESS, W.VERIFIER, "reason"),
    _row(A.RATE, {S.CLOSED}, None, W.REPORTER, "score"),
    _row(A.COMMENT, OPEN, None, W.ANYONE_INVOLVED, "text"),
)

BY_ACTION: dict[Action, Transition] = {row.action: row for row in TRANSITIONS}

INTAKE_EDGES: frozenset[tuple[State | None, State]] = frozenset(
    {(None, State.SUBMITTED), (None, State.CLOSED)}
)
"""How an incident begins: reported, or reported as already self-handled."""

ROUTE_EDGES: frozenset[tuple[State | None, State]] = frozenset(
    {(State.SUBMITTED, State.SUBMITTED), (State.SUBMITTED, State.DISPATCHED)}
)
"""How routing opens the first step: at a centre, or at a member department."""


def edges() -> frozenset[tuple[State | None, State]]:
    """Every (from, to) the history may ever show."""
    moves = {(source, row.target or source) for row in TRANSITIONS for source in row.sources}
    return INTAKE_EDGES | ROUTE_EDGES | moves
