"""Questions about people and units, asked by accounts and by the features above."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Text, any_, exists, false, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased
from sqlalchemy.sql import ColumnElement

from app.accounts.models import Person, PersonGrid, Platform, RoleHolding, Unit
from app.accounts.permissions import Role

_HIGHEST = 8
"""Steps up from a village; ends a loop of parents that nobody should have made."""


def among(column: Any, values: Iterable[str]) -> ColumnElement[bool]:  # noqa: ANN401 - a column
    """`column = ANY(array)`: one parameter however many values."""
    wanted: ColumnElement[bool] = column == any_(literal(sorted(values), ARRAY(Text)))
    return wanted


def like(text: str) -> str:
    """A pattern that finds the text itself, its wildcards made harmless."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


async def unit_by_ref(session: AsyncSession, ref: str) -> Unit | None:
    """A unit by its id or its code, switched off or not; scope is the caller's business."""
    try:
        return await session.get(Unit, UUID(ref))
    except ValueError:
        return await session.scalar(select(Unit).where(Unit.code == ref))


async def units_by_ids(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, Unit]:
    """Unknown ids are missing from the answer."""
    if not ids:
        return {}
    found = await session.scalars(select(Unit).where(Unit.id.in_(ids)))
    return {unit.id: unit for unit in found}


async def centre_of_area(session: AsyncSession, area_codes: Collection[str]) -> dict[str, Unit]:
    """The 综治中心 of each of these very areas, not above or below; areas without are missing."""
    found = await session.scalars(
        select(Unit).where(Unit.kind == "centre", Unit.active, among(Unit.area_code, area_codes))
    )
    return {unit.area_code: unit for unit in found}


async def units_above(session: AsyncSession, ids: Collection[UUID]) -> frozenset[UUID]:
    """All parents of these units, up to the top; not the units themselves."""
    if not ids:
        return frozenset()
    line = (
        select(Unit.parent_id.label("id"), literal(1).label("step"))
        .where(Unit.id.in_(ids), Unit.parent_id.is_not(None))
        .cte("above", recursive=True)
    )
    higher = (
        select(Unit.parent_id, line.c.step + 1)
        .join(line, Unit.id == line.c.id)
        .where(Unit.parent_id.is_not(None), line.c.step < _HIGHEST)
    )
    line = line.union_all(higher)
    return frozenset(await session.scalars(select(line.c.id).distinct()))


async def parent_centre(session: AsyncSession, unit: Unit) -> Unit | None:
    """The nearest active centre above; None at the top (escalation ends there)."""
    parent_id = unit.parent_id
    for _ in range(_HIGHEST):
        parent = await session.get(Unit, parent_id) if parent_id else None
        if parent is None:
            return None
        if parent.kind == "centre" and parent.active:
            return parent
        parent_id = parent.parent_id
    return None


async def staff_of(
    session: AsyncSession, unit_ids: Collection[UUID], roles: Collection[Role]
) -> dict[UUID, list[UUID]]:
    """Active people holding one of the roles in each unit, in order of id; [] for nobody."""
    staff: dict[UUID, list[UUID]] = {unit_id: [] for unit_id in unit_ids}
    if not unit_ids or not roles:
        return staff
    held = _held(RoleHolding.unit_id, RoleHolding.person_id, roles=roles)
    rows = await session.execute(
        held.where(RoleHolding.unit_id.in_(unit_ids)).order_by(
            RoleHolding.unit_id, RoleHolding.person_id
        )
    )
    for unit_id, person_id in rows:
        staff[unit_id].append(person_id)
    return staff


async def holders_of_role(
    session: AsyncSession, area_codes: Collection[str], role: Role
) -> list[UUID]:
    """Active people holding the role in a unit of one of these very areas, in order of id."""
    held = _held(RoleHolding.person_id, roles=[role])
    rows = await session.scalars(
        held.where(among(Unit.area_code, area_codes)).order_by(RoleHolding.person_id)
    )
    return list(rows)


def _held(*columns: InstrumentedAttribute[Any], roles: Collection[Role]) -> Select[Any]:
    """Of active people in active units."""
    return (
        select(*columns)
        .join(Person, Person.id == RoleHolding.person_id)
        .join(Unit, Unit.id == RoleHolding.unit_id)
        .where(
            RoleHolding.role.in_([role.value for role in roles]),
            Person.state == "active",
            Unit.active,
        )
        .distinct()
    )


async def names_of(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, str]:
    """Names of people and platforms by id; unknown ids are missing."""
    if not ids:
        return {}
    people = select(Person.id, Person.name).where(Person.id.in_(ids))
    platforms = select(Platform.id, Platform.name).where(Platform.id.in_(ids))
    rows = await session.execute(people.union_all(platforms))
    return {row.id: row.name for row in rows}


async def person_by_username(session: AsyncSession, username: str) -> Person | None:
    """Case does not matter."""
    return await session.scalar(
        select(Person).where(func.lower(Person.username) == username.lower())
    )


async def platform_by_code(session: AsyncSession, code: str) -> Platform | None:
    return await session.scalar(select(Platform).where(Platform.code == code))


async def grid_workers_of(
    session: AsyncSession, grid_codes: Collection[str]
) -> dict[str, list[UUID]]:
    """Active people of each grid, in order of id; grids without are missing."""
    rows = await session.execute(
        select(PersonGrid.grid_code, PersonGrid.person_id)
        .join(Person, Person.id == PersonGrid.person_id)
        .where(among(PersonGrid.grid_code, grid_codes), Person.state == "active")
        .order_by(PersonGrid.grid_code, PersonGrid.person_id)
    )
    workers: dict[str, list[UUID]] = defaultdict(list)
    for grid_code, person_id in rows:
        workers[grid_code].append(person_id)
    return dict(workers)


def visible_units(
    areas: Iterable[str], own: Collection[UUID], above: Collection[UUID]
) -> ColumnElement[bool]:
    """Units of the subtree, everything above the own units, and the own centres' members."""
    return or_(
        among(Unit.area_code, areas),
        Unit.id.in_([*own, *above]) if own or above else false(),
        Unit.parent_id.in_(own) if own else false(),
    )


def works_in(areas: Iterable[str]) -> ColumnElement[bool]:
    """People holding any role in a unit of these areas."""
    held, unit = aliased(RoleHolding), aliased(Unit)
    return exists(
        select(1)
        .select_from(held)
        .join(unit, unit.id == held.unit_id)
        .where(held.person_id == Person.id, among(unit.area_code, areas))
    )


async def holdings_of(
    session: AsyncSession, person_ids: Collection[UUID]
) -> dict[UUID, list[tuple[Role, Unit]]]:
    """Every role of these people with its unit, units switched off included."""
    rows = await session.execute(
        select(RoleHolding.person_id, RoleHolding.role, Unit)
        .join(Unit, Unit.id == RoleHolding.unit_id)
        .where(RoleHolding.person_id.in_(person_ids))
        .order_by(RoleHolding.person_id, Unit.code, RoleHolding.role)
    )
    held: dict[UUID, list[tuple[Role, Unit]]] = defaultdict(list)
    for person_id, role, unit in rows:
        held[person_id].append((Role(role), unit))
    return held


async def grids_of(
    session: AsyncSession, person_ids: Collection[UUID]
) -> dict[UUID, Sequence[str]]:
    """Own grids of these people, in order of code."""
    rows = await session.execute(
        select(PersonGrid.person_id, PersonGrid.grid_code)
        .where(PersonGrid.person_id.in_(person_ids))
        .order_by(PersonGrid.person_id, PersonGrid.grid_code)
    )
    grids: dict[UUID, list[str]] = defaultdict(list)
    for person_id, grid_code in rows:
        grids[person_id].append(grid_code)
    return dict(grids)
