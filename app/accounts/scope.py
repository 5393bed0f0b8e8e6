"""Which areas a caller reaches: pure, asked by every feature, and failing closed.

A role reaches the area of its unit and everything below it. A role whose unit has no area, or an
area the division tree does not know, reaches nothing.
"""

from collections.abc import Collection, Iterable
from typing import Protocol

from app.accounts.caller import Caller, Holding
from app.accounts.permissions import ROLE_PERMISSIONS, Permission, Role


class AreaTree(Protocol):
    """What scope asks of `app.areas.locate.AreaMap`."""

    def subtree(self, code: str) -> frozenset[str]:
        """The area and everything below it; empty for an unknown code."""
        ...

    def is_below(self, code: str, ancestor: str) -> bool:
        """True for the ancestor itself too, False for unknown codes."""
        ...


def roles_with(permission: Permission) -> frozenset[Role]:
    return frozenset(role for role, granted in ROLE_PERMISSIONS.items() if permission in granted)


def area_roots(holdings: Iterable[Holding], roles: Collection[Role]) -> frozenset[str]:
    """Tops of the subtrees in which one of the roles is held."""
    return frozenset(held.area_code for held in holdings if held.role in roles and held.area_code)


def roots_for(caller: Caller, permission: Permission) -> frozenset[str]:
    """Tops of the subtrees in which the caller has the permission."""
    return area_roots(caller.holdings, roles_with(permission))


def areas_below(tree: AreaTree, roots: Iterable[str]) -> frozenset[str]:
    """All area codes of these subtrees."""
    return frozenset().union(*(tree.subtree(root) for root in roots))


def reaches(tree: AreaTree, roots: Iterable[str], area_code: str | None) -> bool:
    """Whether the area lies in one of the subtrees; an incident without area lies in none."""
    return bool(area_code) and any(tree.is_below(str(area_code), root) for root in roots)
