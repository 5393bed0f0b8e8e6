"""The seed rules (2-domain §5): routine stays in the village, urgent goes to the township."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.routing.models import RoutingRule, RuleSet

_SEED: tuple[tuple[str, str, str, list[str]], ...] = (
    ("特急：镇街中心办理，村和区同时知会", "critical", "township", ["village", "district"]),
    ("紧急：镇街中心办理，村知会", "urgent", "township", ["village"]),
    ("一般：村（社区）中心办理", "routine", "village", []),
    ("疑难：村（社区）中心办理", "complex", "village", []),
)


async def seed(session: AsyncSession, at: datetime) -> None:
    """Version 1 of the rules, unless there are rules already."""
    if await session.scalar(select(func.count()).select_from(RuleSet)):
        return
    session.add(RuleSet(version=1, valid_from=at, created_at=at))
    await session.flush()
    session.add_all(
        RoutingRule(
            version=1,
            position=position,
            name=name,
            urgency=urgency,
            level=level,
            inform=inform,
            created_at=at,
        )
        for position, (name, urgency, level, inform) in enumerate(_SEED, start=1)
    )
    await session.flush()
