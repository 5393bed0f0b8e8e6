"""Who is asking: read once a request, frozen, passed on."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal
from uuid import UUID

from app.accounts.permissions import ROLE_PERMISSIONS, Permission, Role

UnitLevel = Literal["village", "township", "district"]
UnitKind = Literal["centre", "department"]


@dataclass(frozen=True, slots=True)
class Holding:
    """A role held in a unit; its reach is the unit's area and everything below it."""

    role: Role
    unit_id: UUID
    unit_code: str
    unit_name: str
    level: UnitLevel
    kind: UnitKind
    area_code: str


@dataclass(frozen=True)
class Caller:
    """`id` is the person's id, or the platform's for client credentials."""

    id: UUID
    name: str
    kind: Literal["person", "platform"]
    session_id: UUID
    terminal_id: str | None
    holdings: tuple[Holding, ...]
    grid_codes: frozenset[str]
    """Own grids of a grid worker."""
    expires_at: datetime
    """When the access token ends; a stream ends with it."""
    username: str = ""
    """The platform's code for client credentials."""
    must_change_password: bool = False

    @cached_property
    def permissions(self) -> frozenset[Permission]:
        return frozenset().union(*(ROLE_PERMISSIONS[held.role] for held in self.holdings))

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    def holds(self, *roles: Role) -> tuple[Holding, ...]:
        return tuple(held for held in self.holdings if held.role in roles)

    def unit_ids(self, *roles: Role) -> frozenset[UUID]:
        return frozenset(held.unit_id for held in self.holds(*roles))

    def area_codes(self, *roles: Role) -> frozenset[str]:
        """Roots of the subtrees in which the caller holds one of the roles."""
        return frozenset(held.area_code for held in self.holds(*roles))
