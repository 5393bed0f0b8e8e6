"""Categories from a table: a row is a category; what it does not say stays as it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.categories import queries
from app.categories.changing import change_category
from app.categories.queries import CategoryNode
from app.categories.schemas import CategoryChange, CategoryCodeText
from app.core.fields import Command, Line
from app.core.importing import Outcome
from app.core.sheets import Columns, Ticked

_AS_IT_IS = "*"
"""The writer of a table saw none of the tags: the row that is locked is the one that is changed."""


class CategoryRow(Command):
    code: CategoryCodeText
    name: Line
    active: Ticked | None = None
    sealed: Ticked | None = None
    position: Annotated[int, Field(ge=0, le=1_000_000)] | None = None


@dataclass(frozen=True, slots=True)
class CategoryTable:
    """Who changes the catalogue. A category stands below its parent in the file."""

    actor_id: UUID
    at: datetime
    name: ClassVar[str] = "categories"
    columns: ClassVar[Columns] = Columns(
        {
            "code": "类别代码",
            "name": "类别名称",
            "active": "启用",
            "sealed": "保密",
            "position": "顺序",
        },
        frozenset({"code", "name"}),
    )

    def key(self, cells: Mapping[str, str]) -> str:
        return cells.get("code", "")

    async def write(self, session: AsyncSession, cells: Mapping[str, str]) -> Outcome:
        """Raises as `change_category`."""
        row = CategoryRow.model_validate(dict(cells))
        tree = await queries.load(session)
        node = tree.get(row.code)
        wanted = _wanted(row, node)
        if node is not None and _same(wanted, node, sealed=tree.is_sealed(row.code)):
            return "unchanged"
        seen = _AS_IT_IS if node is not None else None
        await change_category(session, row.code, wanted, seen, actor_id=self.actor_id, at=self.at)
        return "changed" if node is not None else "added"


def _wanted(row: CategoryRow, node: CategoryNode | None) -> CategoryChange:
    standing = node or CategoryNode(row.code, None, row.name)
    return CategoryChange(
        name=row.name,
        active=standing.active if row.active is None else row.active,
        sealed=row.sealed,
        attributes=dict(standing.attributes),
        position=standing.position if row.position is None else row.position,
    )


def _same(wanted: CategoryChange, node: CategoryNode, *, sealed: bool) -> bool:
    said = (wanted.name, wanted.active, wanted.position)
    return said == (node.name, node.active, node.position) and wanted.sealed in (None, sealed)
