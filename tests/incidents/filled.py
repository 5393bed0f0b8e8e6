"""What a properly filled transition says, for whoever tries anything."""

from typing import Any

from app.incidents.status import Action, State, Who
from tests.district import KONGTONG, LIUHU, POLICE_LIUHU, YONGHONG
from tests.incidents.paths import DESK, LEADER, POLICE, TOP, TOWNSHIP, WORKER, Move

FILLED: dict[str, Any] = {
    "reason": "理由",
    "text": "情况",
    "outcome": "已处理",
    "score": 4,
    "days": 1,
    "review_on": "2026-04-20",
    "due_on": "2026-08-31",
    "external_body": "区人民法院",
    "receipt_number": "2026-15",
    "document_number": "崆政法〔2026〕3号",
    "leading_official": "王某",
}
LEVELS = {
    Action.SUPERVISE: "red",
    Action.RAISE_URGENCY: "critical",
    Action.ASSIGN_FROM_ABOVE: "city",
}
ASIDE = {Action.ASSIST: "620802105-justice", Action.INFORM: POLICE_LIUHU}
MAY_NOT_FIT = {
    Action.MERGE,
    Action.RELATE,
    Action.UNRELATE,
    Action.ASSIST,
    Action.SUSPEND,
    Action.REQUEST_EXTENSION,
    Action.REQUEST_SUSPENSION,
}
"""Which other matter, unit or day fits is not told by what is offered."""

FITTING = {
    Action.HAND_DOWN: {LIUHU: YONGHONG, KONGTONG: LIUHU},
    Action.DISPATCH: {LIUHU: POLICE_LIUHU, KONGTONG: "620802-police"},
}
"""A unit right below the centre that owns the matter."""
UNIT_STAFF = {"submitted": DESK, "returned": DESK, "merged": DESK, "accepted": TOWNSHIP}
"""Of the unit that owns the matter in a state; else the police have it, under the township."""
BEFORE: dict[Action, Move] = {
    Action.DECIDE_EXTENSION: (POLICE, "request_extension", {"days": 3, "reason": "需鉴定"}),
    Action.LIFT_SUPERVISION: (TOP, "supervise", {"level": "red"}),
}
"""What must have happened before."""


def mover(who: Who | None, state: State) -> str:
    """Whose move it is in a matter that came the way of `PATHS`."""
    if who in {Who.REPORTER, Who.CONFIRMER, Who.REOPENER, Who.ANYONE_INVOLVED}:
        return WORKER
    if who in {Who.OVERSEER, Who.LIFTER, Who.DESK}:
        return TOP
    if who is Who.SUPERVISOR:
        return LEADER
    if who in {Who.VERIFIER, Who.CENTRE, Who.DECIDER}:
        return TOWNSHIP
    return UNIT_STAFF.get(state, POLICE)
