"""What a properly filled transition says, for whoever tries anything."""

from typing import Any

from app.incidents.status import Action
from tests.district import POLICE_LIUHU

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
