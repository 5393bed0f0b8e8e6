"""The category tree as one immutable snapshot."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.categories.errors import CategoryUnknown
from app.categories.freshness import Fresh
from app.categories.models import Category, CategoryCode
from app.core.resources import Resources


@dataclass(frozen=True, slots=True)
class CategoryNode:
    """One category as stored; what ancestors add is answered by the tree."""

    code: str
    parent_code: str | None
    name: str
    sealed: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
    active: bool = True
    position: int = 0
    external_codes: Mapping[str, str] = field(default_factory=dict)
    """The category's code in each other system."""


class CategoryTree:
    """All categories at one moment. Never changes; load another one to see changes."""

    def __init__(self, nodes: Iterable[CategoryNode]) -> None:
        ordered = sorted(nodes, key=lambda node: (node.position, node.code))
        self._nodes = {node.code: node for node in ordered}
        below: dict[str | None, list[CategoryNode]] = defaultdict(list)
        for node in ordered:
            below[node.parent_code].append(node)
        self._children = {code: tuple(children) for code, children in below.items()}
        self._external = {
            (system, external): node.code
            for node in ordered
            for system, external in node.external_codes.items()
        }

    def get(self, code: str) -> CategoryNode | None:
        return self._nodes.get(code)

    def reportable(self, code: str) -> CategoryNode:
        """The category of a new matter: it and all above are active. Raises CategoryUnknown."""
        path = self.path(code)
        if not all(node.active for node in path):
            raise CategoryUnknown(category=code)
        return path[0]

    def path(self, code: str) -> tuple[CategoryNode, ...]:
        """The category, its parent, … its root. Raises CategoryUnknown."""
        node = self._nodes.get(code)
        if node is None:
            raise CategoryUnknown(category=code)
        return tuple(self._upwards(node))

    def root_of(self, code: str) -> str:
        """The root's code. Raises CategoryUnknown."""
        return self.path(code)[-1].code

    def is_sealed(self, code: str) -> bool:
        """True for a sealed category and everything below it, and for a code nobody knows."""
        return code not in self._nodes or any(node.sealed for node in self.path(code))

    def attributes_of(self, code: str) -> Mapping[str, Any]:
        """What a matter of this kind is asked for, ancestors included. Raises CategoryUnknown."""
        merged: dict[str, Any] = {}
        for node in reversed(self.path(code)):
            merged.update(node.attributes)
        return MappingProxyType(merged)

    def children(self, code: str | None = None) -> tuple[CategoryNode, ...]:
        """In display order; without a code the roots."""
        return self._children.get(code, ())

    def in_order(self, below: str | None = None) -> Iterator[CategoryNode]:
        """Every category, each parent right before its children."""
        for node in self.children(below):
            yield node
            yield from self.in_order(node.code)

    def from_external(self, system: str, code: str) -> str | None:
        """Our code for another system's code, None where there is no map."""
        return self._external.get((system, code))

    def _upwards(self, node: CategoryNode) -> Iterator[CategoryNode]:
        yield node
        while node.parent_code is not None:
            node = self._nodes[node.parent_code]
            yield node


async def load(session: AsyncSession) -> CategoryTree:
    """The tree as this transaction sees it."""
    codes: dict[str, dict[str, str]] = defaultdict(dict)
    for row in await session.execute(
        select(CategoryCode.category_code, CategoryCode.system, CategoryCode.external_code)
    ):
        codes[row.category_code][row.system] = row.external_code
    rows = await session.execute(select(*Category.__table__.columns))
    return CategoryTree(
        CategoryNode(**row, external_codes=codes.get(row["code"], {})) for row in rows.mappings()
    )


async def current_tree(resources: Resources) -> CategoryTree:
    """The process's snapshot, at most 5 s old."""
    return await resources.the(_fresh_tree).get()


def _fresh_tree(resources: Resources) -> Fresh[CategoryTree]:
    return Fresh(resources.clock, partial(_read, resources))


async def _read(resources: Resources) -> CategoryTree:
    async with resources.sessions.read() as session:
        return await load(session)
