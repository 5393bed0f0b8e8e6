"""Wrong routing told by what units did with it: the first deciding move after the first step."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from app.areas.locate import AreaMap
from app.incidents.models import HistoryEntry, Incident
from app.incidents.status import Action
from app.routing.models import Decision, RoutingRule
from app.routing.queries import lies_in
from app.routing.schemas import RuleFeedback

USUAL = timedelta(days=30)
LONGEST = timedelta(days=366)
_MOST = 200

BOUNCES: dict[Action, str] = {
    Action.RETURN: "returned",
    Action.REFUSE: "refused",
    Action.HAND_DOWN: "handed_down",
    Action.ESCALATE: "escalated",
}
_DECIDING = (
    *BOUNCES,
    Action.REJECT,
    Action.DISPATCH,
    Action.HANDLE_HERE,
    Action.COMPLETE,
    Action.SELF_HANDLE,
    Action.WITHDRAW,
)
"""What says whether a unit took a matter for its own; accepting and signing come before that."""


async def feedback(
    session: AsyncSession,
    areas: AreaMap,
    roots: Collection[str],
    since: datetime | None,
    now: datetime,
) -> list[RuleFeedback]:
    """The rules that bounced most first. Sealed matters are not counted."""
    begin = max(since or now - USUAL, now - LONGEST)
    deciding = (
        select(HistoryEntry.action)
        .where(
            HistoryEntry.incident_id == Decision.incident_id,
            HistoryEntry.action.in_([action.value for action in _DECIDING]),
        )
        .order_by(HistoryEntry.seq)
        .limit(1)
        .lateral("deciding")
    )
    counts = [
        func.count().filter(deciding.c.action == action.value).label(name)
        for action, name in BOUNCES.items()
    ]
    bounced = func.count().filter(deciding.c.action.in_([each.value for each in BOUNCES]))
    rows = await session.execute(
        select(
            Decision.rule_id,
            Decision.rule_version,
            RoutingRule.name.label("rule"),
            func.count().label("routed"),
            bounced.label("bounced"),
            *counts,
        )
        .join(Incident, Incident.id == Decision.incident_id)
        .outerjoin(RoutingRule, RoutingRule.id == Decision.rule_id)
        .outerjoin(deciding, true())
        .where(Decision.decided_at >= begin, lies_in(areas, roots))
        .group_by(Decision.rule_id, Decision.rule_version, RoutingRule.name)
        .order_by(bounced.desc(), Decision.rule_id)
        .limit(_MOST)
    )
    return [RuleFeedback.model_validate(row) for row in rows]
