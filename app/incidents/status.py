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
    SUSPENDED = "suspended"
    REJECTED = "rejected"
    VOIDED = "voided"
    MERGED = "merged"
    TRANSFERRED = "transferred"
    ARCHIVED = "archived"


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
    CONFIRM = "confirm"
    RATE = "rate"
    REOPEN = "reopen"
    MERGE = "merge"
    UNMERGE = "unmerge"
    TRANSFER = "transfer"
    ASSIST = "assist"
    REQUEST_EXTENSION = "request_extension"
    DECIDE_EXTENSION = "decide_extension"
    REQUEST_SUSPENSION = "request_suspension"
    SUSPEND = "suspend"
    RESUME = "resume"
    COMMENT = "comment"
    NOTE = "note"
    ADD_MEDIA = "add_media"
    URGE = "urge"
    SUPERVISE = "supervise"
    LIFT_SUPERVISION = "lift_supervision"
    RAISE_URGENCY = "raise_urgency"
    RELATE = "relate"
    UNRELATE = "unrelate"
    INFORM = "inform"
    ASSIGN_FROM_ABOVE = "assign_from_above"


class Happening(StrEnum):
    """What the history tells beyond the table's actions; nobody sends these as a transition."""

    REPORT = "report"
    ROUTE = "route"
    SUPPLEMENT = "supplement"
    RAISER_INFORMED = "raiser_informed"
    """已回告: by the reporter, with an acknowledgement."""
    AUTO_SIGN = "auto_sign"
    AUTO_RESUME = "auto_resume"
    LAPSE = "lapse"
    """Returned, and not sent in again within the reporter's days."""
    ARCHIVE = "archive"
    OVERDUE = "overdue"
    CARD = "card"
    CLIMB = "climb"
    """Nobody took it in time: one level up."""
    RECALL = "recall"
    """The unit it was dispatched to has nobody: back to its dispatching centre."""


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
    CONFIRMER = "confirmer"
    """The reporter, who did not complete it too."""
    WORKING = "working"
    """A handler of the unit that owns the step, or of one that assists it."""
    CENTRE = "centre"
    """A dispatcher of the centre under which the step stands (`step.opened_by`)."""
    EITHER = "either"
    """A handler of the step's unit, or a dispatcher of that centre."""
    DECIDER = "decider"
    """A dispatcher of the centre that decides the extension asked for."""
    REOPENER = "reopener"
    """The reporter, or a dispatcher of the centre that closed it."""
    ANYONE_INVOLVED = "anyone_involved"
    """The reporter, and staff of units with a step."""
    STAFF = "staff"
    """The same without the reporter."""
    OVERSEER = "overseer"
    """A supervisor or another centre's dispatcher of the step's level or above it."""
    LIFTER = "lifter"
    """An overseer not below who raised the supervision."""
    DESK = "desk"
    """A dispatcher of the owning centre or the one the step stands under, or an overseer."""
    SUPERVISOR = "supervisor"
    """A supervisor of the step's level or above it."""


Stage = Literal["accept", "dispatch", "sign", "handle", "verify"]

STAGES: dict[State, Stage] = {
    State.SUBMITTED: "accept",
    State.ACCEPTED: "dispatch",
    State.DISPATCHED: "sign",
    State.IN_PROGRESS: "handle",
    State.HANDLED: "verify",
}
"""Which clock runs in a state; in the others none does."""

FINAL = frozenset({State.REJECTED, State.VOIDED, State.MERGED, State.TRANSFERRED, State.ARCHIVED})
"""Nothing moves any more and no step is current; only a merge can be undone for a while."""
ENDED = FINAL | {State.CLOSED}
OPEN = frozenset(State) - ENDED


@dataclass(frozen=True, slots=True)
class Transition:
    action: Action | Happening
    sources: frozenset[State]
    target: State | None
    """None: the state stays."""
    who: Who | None
    """None: the system by itself."""
    needs: frozenset[str] = frozenset()
    """Fields of the command without which the move is refused."""
    new_step: bool = False


def _row(
    action: Action | Happening,
    sources: set[State] | frozenset[State],
    target: State | None,
    who: Who | None,
    *needs: str,
    new_step: bool = False,
) -> Transition:
    return Transition(action, frozenset(sources), target, who, frozenset(needs), new_step)


S, A, W, H = State, Action, Who, Happening

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
    _row(A.PROGRESS, {S.IN_PROGRESS}, None, W.WORKING, "text"),
    _row(A.COMPLETE, {S.IN_PROGRESS}, S.HANDLED, W.HANDLER, "outcome"),
    _row(A.REQUEST_EXTENSION, {S.IN_PROGRESS}, None, W.HANDLER, "days", "reason"),
    _row(A.DECIDE_EXTENSION, {S.IN_PROGRESS}, None, W.DECIDER, "days"),
    _row(A.ASSIST, {S.IN_PROGRESS}, None, W.HANDLER, "to_unit"),
    _row(A.REQUEST_SUSPENSION, {S.IN_PROGRESS}, None, W.HANDLER, "reason", "review_on"),
    _row(A.SUSPEND, {S.IN_PROGRESS}, S.SUSPENDED, W.CENTRE, "reason"),
    _row(A.RESUME, {S.SUSPENDED}, S.IN_PROGRESS, W.EITHER),
    _row(A.VERIFY_PASS, {S.HANDLED}, S.CLOSED, W.VERIFIER),
    _row(A.VERIFY_FAIL, {S.HANDLED}, S.IN_PROGRESS, W.VERIFIER, "reason"),
    _row(A.CONFIRM, {S.HANDLED}, S.CLOSED, W.CONFIRMER),
    _row(A.RATE, {S.CLOSED}, None, W.REPORTER, "score"),
    _row(A.REOPEN, {S.CLOSED}, S.IN_PROGRESS, W.REOPENER, "reason"),
    _row(A.MERGE, {S.SUBMITTED, S.ACCEPTED}, S.MERGED, W.OWNER, "into"),
    _row(A.UNMERGE, {S.MERGED}, S.SUBMITTED, W.OWNER, new_step=True),
    _row(
        A.TRANSFER,
        {S.SUBMITTED, S.ACCEPTED},
        S.TRANSFERRED,
        W.OWNER,
        "external_body",
        "receipt_number",
    ),
    _row(A.COMMENT, OPEN, None, W.ANYONE_INVOLVED, "text"),
    _row(A.NOTE, OPEN, None, W.STAFF, "text"),
    _row(A.ADD_MEDIA, OPEN, None, W.ANYONE_INVOLVED, "attachments"),
    _row(A.URGE, OPEN - {S.RETURNED}, None, W.REPORTER),
    _row(A.SUPERVISE, OPEN, None, W.OVERSEER, "level"),
    _row(A.LIFT_SUPERVISION, OPEN, None, W.LIFTER),
    _row(A.RAISE_URGENCY, OPEN, None, W.DESK, "level"),
    _row(A.RELATE, OPEN, None, W.STAFF, "into"),
    _row(A.UNRELATE, OPEN, None, W.STAFF, "into"),
    _row(A.INFORM, OPEN, None, W.DESK, "to_unit"),
    _row(
        A.ASSIGN_FROM_ABOVE,
        OPEN,
        None,
        W.SUPERVISOR,
        "document_number",
        "due_on",
        "leading_official",
        "level",
        "text",
    ),
)

BY_ACTION: dict[Action, Transition] = {
    row.action: row for row in TRANSITIONS if isinstance(row.action, Action)
}

FREE = frozenset({Action.COMMENT, Action.NOTE, Action.URGE})
"""Remarks are about the matter, not about one version of it: they need no revision, make none."""

INTERNAL = frozenset(
    {
        *(A.NOTE, A.REQUEST_EXTENSION, A.REQUEST_SUSPENSION, A.SUPERVISE, A.LIFT_SUPERVISION),
        *(A.RELATE, A.UNRELATE, A.INFORM, A.ASSIGN_FROM_ABOVE, A.ADD_MEDIA),
        *(H.OVERDUE, H.CARD),
    }
)
"""Told to staff only."""

AUTOMATIC: tuple[Transition, ...] = (
    _row(H.AUTO_SIGN, {S.DISPATCHED}, S.IN_PROGRESS, None),
    _row(H.AUTO_RESUME, {S.SUSPENDED}, S.IN_PROGRESS, None),
    _row(H.LAPSE, {S.RETURNED}, S.VOIDED, None),
    _row(H.ARCHIVE, {S.CLOSED}, S.ARCHIVED, None),
    _row(H.OVERDUE, OPEN, None, None),
    _row(H.CARD, OPEN, None, None),
    _row(H.CLIMB, {S.SUBMITTED}, S.SUBMITTED, None, new_step=True),
    _row(H.RECALL, {S.DISPATCHED, S.IN_PROGRESS}, S.ACCEPTED, None, new_step=True),
)
"""What happens by itself when a time has come."""

BY_HAPPENING: dict[Happening, Transition] = {
    row.action: row for row in AUTOMATIC if isinstance(row.action, Happening)
}

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
    rows = (*TRANSITIONS, *AUTOMATIC)
    moves = {(source, row.target or source) for row in rows for source in row.sources}
    return INTAKE_EDGES | ROUTE_EDGES | moves
