"""Changing units: where one may stand, and under whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import UnitKind, UnitLevel
from app.accounts.enrolment import create_unit
from app.accounts.errors import PersonNotFound, UnitCodeTaken, UnitMisplaced, UnitNotFound
from app.accounts.models import Person, Unit
from app.accounts.queries import unit_by_ref
from app.accounts.scope import AreaTree, reaches
from app.core import audit
from app.core.errors import RevisionStale

_RANK = {"village": 1, "township": 2, "district": 3}


class _Area(Protocol):
    @property
    def level(self) -> str: ...


class AreaMapLike(AreaTree, Protocol):
    def get(self, code: str) -> _Area | None: ...


@dataclass(frozen=True, slots=True)
class Organiser:
    """Who changes the organisation, and the tops of the subtrees where they may."""

    id: UUID
    roots: frozenset[str]


@dataclass(frozen=True, slots=True)
class NewUnit:
    code: str
    name: str
    level: UnitLevel
    kind: UnitKind
    area_code: str
    parent: str | None
    head_id: UUID | None


async def found_unit(
    session: AsyncSession, organiser: Organiser, tree: AreaMapLike, new: NewUnit, at: datetime
) -> Unit:
    """Raises UnitMisplaced, UnitNotFound (the parent), PersonNotFound (the head), UnitCodeTaken."""
    area = tree.get(new.area_code)
    reached = reaches(tree, organiser.roots, new.area_code)
    if area is None or area.level != new.level or not reached:
        raise UnitMisplaced
    parent = await _parent(session, organiser, tree, new.parent)
    _demand_place(tree, new.level, new.kind, new.area_code, parent)
    await _demand_person(session, new.head_id)
    return await create_unit(
        session,
        at=at,
        code=new.code,
        name=new.name,
        level=new.level,
        kind=new.kind,
        area_code=new.area_code,
        parent_id=parent.id if parent else None,
        head_id=new.head_id,
        actor_id=organiser.id,
    )


async def change_unit(
    session: AsyncSession,
    organiser: Organiser,
    tree: AreaMapLike,
    *,
    ref: str,
    revision: int,
    changes: Mapping[str, Any],
    at: datetime,
) -> Unit:
    """Change `name`, `parent` (id or code, or None), `head_id`, `active`; what is missing stays.

    Raises UnitNotFound, RevisionStale, UnitMisplaced, PersonNotFound, UnitCodeTaken.
    """
    unit = await _own_unit(session, organiser, tree, ref)
    await session.refresh(unit, with_for_update=True)
    if unit.revision != revision:
        raise RevisionStale
    before = _standing(unit)
    if "parent" in changes:
        await _move(session, organiser, tree, unit, changes["parent"])
    await _demand_person(session, changes.get("head_id"))
    await _store(session, unit, {k: v for k, v in changes.items() if k != "parent"})
    await audit.note(
        session,
        at=at,
        actor_id=organiser.id,
        action="unit.changed",
        target=("unit", unit.id),
        fields=sorted(changes),
        before=before,
        after=_standing(unit),
        revision=unit.revision,
    )
    return unit


def _standing(unit: Unit) -> dict[str, Any]:
    """What may change of a unit."""
    return {
        "name": unit.name,
        "parent_id": str(unit.parent_id) if unit.parent_id else None,
        "head_id": str(unit.head_id) if unit.head_id else None,
        "active": unit.active,
    }


async def _store(session: AsyncSession, unit: Unit, changes: Mapping[str, Any]) -> None:
    try:
        async with session.begin_nested():
            for field, value in changes.items():
                setattr(unit, field, value)
            unit.revision += 1
            await session.flush()
    except IntegrityError as taken:  # a second active centre of the same area
        raise UnitCodeTaken from taken


async def _own_unit(session: AsyncSession, organiser: Organiser, tree: AreaTree, ref: str) -> Unit:
    unit = await unit_by_ref(session, ref)
    if unit is None or not reaches(tree, organiser.roots, unit.area_code):
        raise UnitNotFound
    return unit


async def _parent(
    session: AsyncSession, organiser: Organiser, tree: AreaTree, ref: str | None
) -> Unit | None:
    return await _own_unit(session, organiser, tree, ref) if ref is not None else None


async def _move(
    session: AsyncSession,
    organiser: Organiser,
    tree: AreaMapLike,
    unit: Unit,
    ref: str | None,
) -> None:
    parent = await _parent(session, organiser, tree, ref)
    _demand_place(tree, unit.level, unit.kind, unit.area_code, parent)
    unit.parent_id = parent.id if parent else None


def _demand_place(
    tree: AreaTree, level: str, kind: str, area_code: str, parent: Unit | None
) -> None:
    """A centre stands under a centre of a higher level, a department under one of its own too.

    Nothing stands under a department, so parents can't form a circle.
    """
    if parent is None:
        return
    higher = _RANK[parent.level] > _RANK[level]
    same = kind == "department" and parent.level == level
    fits = parent.kind == "centre" and parent.active and (higher or same)
    if not fits or not tree.is_below(area_code, parent.area_code):
        raise UnitMisplaced


async def _demand_person(session: AsyncSession, person_id: UUID | None) -> None:
    if person_id is None:
        return
    known = await session.scalar(
        select(Person.id).where(Person.id == person_id, Person.state == "active")
    )
    if known is None:
        raise PersonNotFound
