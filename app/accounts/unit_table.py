"""Units from a table: a row is a unit; what stands is changed, what is not named stays."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import UnitKind, UnitLevel
from app.accounts.errors import PersonNotFound, UnitFixed, UnitNotFound
from app.accounts.models import Unit
from app.accounts.organisation import AreaMapLike, NewUnit, Organiser, change_unit, found_unit
from app.accounts.queries import person_by_username, unit_by_ref
from app.accounts.schemas import UnitRef
from app.accounts.scope import reaches
from app.core.fields import Code, Command, Line
from app.core.importing import Outcome
from app.core.sheets import Columns, Ticked


class UnitRow(Command):
    code: Code
    name: Line
    level: UnitLevel
    kind: UnitKind
    area_code: Code
    parent: UnitRef | None = None
    head: Line | None = None
    """A user name."""
    active: Ticked | None = None


@dataclass(frozen=True, slots=True)
class UnitTable:
    """Who organises, and the areas. A unit stands below its parent in the file."""

    organiser: Organiser
    tree: AreaMapLike
    at: datetime
    name: ClassVar[str] = "units"
    columns: ClassVar[Columns] = Columns(
        {
            "code": "单位代码",
            "name": "单位名称",
            "level": "级别",
            "kind": "类型",
            "area_code": "区划代码",
            "parent": "上级单位",
            "head": "负责人",
            "active": "启用",
        },
        frozenset({"code", "name", "level", "kind", "area_code"}),
    )

    def key(self, cells: Mapping[str, str]) -> str:
        return cells.get("code", "")

    async def write(self, session: AsyncSession, cells: Mapping[str, str]) -> Outcome:
        """Raises as `found_unit` and `change_unit`, and UnitFixed."""
        row = UnitRow.model_validate(dict(cells))
        standing = await unit_by_ref(session, row.code)
        if standing is None:
            await self._found(session, row)
            return "added"
        if not reaches(self.tree, self.organiser.roots, standing.area_code):
            raise UnitNotFound
        if (standing.level, standing.kind, standing.area_code) != (
            row.level, row.kind, row.area_code,
        ):  # fmt: skip
            raise UnitFixed
        changes = await self._changes(session, standing, row)
        if not changes:
            return "unchanged"
        await self._change(session, standing, changes)
        return "changed"

    async def _found(self, session: AsyncSession, row: UnitRow) -> None:
        new = NewUnit(
            code=row.code,
            name=row.name,
            level=row.level,
            kind=row.kind,
            area_code=row.area_code,
            parent=row.parent,
            head_id=await _head_id(session, row),
        )
        unit = await found_unit(session, self.organiser, self.tree, new, self.at)
        if row.active is False:
            await self._change(session, unit, {"active": False})

    async def _change(self, session: AsyncSession, unit: Unit, changes: Mapping[str, Any]) -> None:
        await change_unit(
            session,
            self.organiser,
            self.tree,
            ref=str(unit.id),
            revision=unit.revision,
            changes=changes,
            at=self.at,
        )

    async def _changes(self, session: AsyncSession, unit: Unit, row: UnitRow) -> dict[str, Any]:
        """What the row says differently."""
        said: dict[str, Any] = {"name": row.name}
        if row.active is not None:
            said["active"] = row.active
        if row.head is not None:
            said["head_id"] = await _head_id(session, row)
        found = {name: value for name, value in said.items() if getattr(unit, name) != value}
        if row.parent is not None:
            parent = await unit_by_ref(session, row.parent)
            if parent is None or parent.id != unit.parent_id:
                found["parent"] = row.parent
        return found


async def _head_id(session: AsyncSession, row: UnitRow) -> Any:  # noqa: ANN401 - an id or nothing
    if row.head is None:
        return None
    person = await person_by_username(session, row.head)
    if person is None:
        raise PersonNotFound
    return person.id
