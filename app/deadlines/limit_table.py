"""Limits from a table: a row is the limit of a category, urgency, level and stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.importing import Outcome
from app.core.sheets import Columns
from app.deadlines.changing import change_limit, locked_limit
from app.deadlines.schemas import LimitChange

_KEY = ("category_code", "urgency", "level", "stage")


@dataclass(frozen=True, slots=True)
class LimitTable:
    """Who sets the limits. An empty cell is a value here too: any category, no bound."""

    actor_id: UUID
    at: datetime
    name: ClassVar[str] = "limits"
    columns: ClassVar[Columns] = Columns(
        {
            "category_code": "类别代码",
            "urgency": "紧急程度",
            "level": "级别",
            "stage": "环节",
            "minutes": "时限（分钟）",
            "calendar": "日历",
            "extension_days_max": "最长延期（天）",
            "yellow_card_minutes": "黄牌（分钟）",
            "red_card_minutes": "红牌（分钟）",
        },
        frozenset({"category_code", "urgency", "level", "stage", "minutes", "calendar"}),
    )

    def key(self, cells: Mapping[str, str]) -> str:
        return ",".join(cells.get(name, "") for name in _KEY)

    async def write(self, session: AsyncSession, cells: Mapping[str, str]) -> Outcome:
        """Raises as `change_limit`."""
        wanted = LimitChange.model_validate(dict(cells))
        standing = await locked_limit(session, wanted)
        values = wanted.model_dump(exclude={"revision"})
        if standing is not None:
            if all(getattr(standing, name) == value for name, value in values.items()):
                return "unchanged"
            wanted = wanted.model_copy(update={"revision": standing.revision})
        await change_limit(session, wanted, actor_id=self.actor_id, at=self.at)
        return "added" if standing is None else "changed"
