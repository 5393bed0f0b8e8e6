"""Creating and changing categories; every change leaves a line in the audit trail."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.categories import queries
from app.categories.errors import (
    CategoryNotFound,
    CategoryParentMissing,
    CategoryStaysSealed,
    ExternalCodeTaken,
)
from app.categories.models import Category, CategoryCode
from app.categories.queries import CategoryNode, CategoryTree
from app.categories.schemas import CategoryChange, CategoryView
from app.categories.tags import demand
from app.core import audit
from app.core.errors import RevisionRequired


async def change_category(
    session: AsyncSession,
    code: str,
    wanted: CategoryChange,
    seen: str | None,
    *,
    actor_id: UUID,
    at: datetime,
) -> tuple[CategoryView, bool]:
    """Write the category; the second value is True when it is new.

    `seen` is the writer's If-Match. Raises RevisionRequired, RevisionStale, CategoryParentMissing,
    CategoryStaysSealed.
    """
    tree = await _locked_tree(session)
    node = tree.get(code)
    demand(seen, CategoryView.of(tree, node) if node else None)
    values = wanted.model_dump() | {"sealed": _sealed(tree, code, wanted.sealed)}
    if node is None:
        await _create(session, tree, code, values)
    else:
        await session.execute(update(Category).where(Category.code == code).values(values))
        await _seal_below(session, tree, code, sealed=values["sealed"])
    await audit.note(
        session,
        at=at,
        actor_id=actor_id,
        action="category.created" if node is None else "category.changed",
        target=("category", code),
        before=_standing(node),
        **values,
    )
    return await _view(session, code), node is None


async def change_external_codes(
    session: AsyncSession,
    code: str,
    wanted: dict[str, str],
    seen: str | None,
    *,
    actor_id: UUID,
    at: datetime,
) -> CategoryView:
    """Replace the category's codes in other systems.

    Raises CategoryNotFound, RevisionRequired, RevisionStale, ExternalCodeTaken.
    """
    tree = await _locked_tree(session)
    node = tree.get(code)
    if node is None:
        raise CategoryNotFound
    demand(seen, CategoryView.of(tree, node))
    await session.execute(delete(CategoryCode).where(CategoryCode.category_code == code))
    for system, external in wanted.items():
        await _map(session, code, system, external)
    await audit.note(
        session,
        at=at,
        actor_id=actor_id,
        action="category.external_codes_changed",
        target=("category", code),
        before=dict(node.external_codes),
        after=wanted,
    )
    return await _view(session, code)


def _standing(node: CategoryNode | None) -> dict[str, Any] | None:
    """As it was, None for a new one."""
    if node is None:
        return None
    return {
        "name": node.name,
        "active": node.active,
        "sealed": node.sealed,
        "attributes": dict(node.attributes),
        "position": node.position,
    }


async def _locked_tree(session: AsyncSession) -> CategoryTree:
    """The tree with every row locked: sealing reaches children, so writers take turns."""
    await session.execute(select(Category.code).order_by(Category.code).with_for_update())
    return await queries.load(session)


def _sealed(tree: CategoryTree, code: str, wanted: bool | None) -> bool:  # noqa: FBT001 - a value
    nearest = code if tree.get(code) else _parent_of(code)
    must = nearest is not None and tree.get(nearest) is not None and tree.is_sealed(nearest)
    if must and wanted is False:
        raise CategoryStaysSealed
    return must or bool(wanted)


async def _create(
    session: AsyncSession, tree: CategoryTree, code: str, values: dict[str, Any]
) -> None:
    parent = _parent_of(code)
    if parent is not None and tree.get(parent) is None:
        raise CategoryParentMissing(parent=parent)
    created = await session.scalar(
        insert(Category)
        .values(code=code, parent_code=parent, **values)
        .on_conflict_do_nothing()
        .returning(Category.code)
    )
    if created is None:  # somebody else created it in this very moment
        raise RevisionRequired


async def _seal_below(
    session: AsyncSession, tree: CategoryTree, code: str, *, sealed: bool
) -> None:
    """Rows below a sealed category say so themselves, for questions asked in SQL."""
    below = [node.code for node in tree.in_order(code)] if sealed else []
    if below:
        await session.execute(update(Category).where(Category.code.in_(below)).values(sealed=True))


async def _map(session: AsyncSession, code: str, system: str, external: str) -> None:
    mapped = await session.scalar(
        insert(CategoryCode)
        .values(category_code=code, system=system, external_code=external)
        .on_conflict_do_nothing()
        .returning(CategoryCode.category_code)
    )
    if mapped is None:
        raise ExternalCodeTaken(system=system, external_code=external)


async def _view(session: AsyncSession, code: str) -> CategoryView:
    tree = await queries.load(session)
    return CategoryView.of(tree, tree.path(code)[0])


def _parent_of(code: str) -> str | None:
    """Two digits a level; afterwards ancestry is read from the parent links."""
    return code[:-2] or None
