"""Which role may do what: one table, read by `require` and by scope."""

from collections.abc import Iterable
from enum import StrEnum

from app.accounts.errors import RoleNotForPeople, RolesNotSeparated


class Role(StrEnum):
    GRID_WORKER = "grid_worker"
    GRID_MANAGER = "grid_manager"
    DISPATCHER = "dispatcher"
    HANDLER = "handler"
    SUPERVISOR = "supervisor"
    SECURITY_OFFICER = "security_officer"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"
    PLATFORM = "platform"


class Permission(StrEnum):
    REPORT = "report"
    READ_INCIDENTS = "read_incidents"
    MOVE_INCIDENTS = "move_incidents"
    """Send transitions; which one is then decided by the transitions table."""
    READ_NOTICES = "read_notices"
    READ_RECEIPTS = "read_receipts"
    """Who was told of a matter in reach, and who has seen it."""
    READ_AREAS = "read_areas"
    MANAGE_AREAS = "manage_areas"
    READ_UNITS = "read_units"
    MANAGE_UNITS = "manage_units"
    READ_PEOPLE = "read_people"
    MANAGE_PEOPLE = "manage_people"
    READ_TERMINALS = "read_terminals"
    MANAGE_TERMINALS = "manage_terminals"
    READ_CATEGORIES = "read_categories"
    MANAGE_CATEGORIES = "manage_categories"
    READ_LIMITS = "read_limits"
    MANAGE_LIMITS = "manage_limits"
    READ_ROUTING = "read_routing"
    MANAGE_ROUTING = "manage_routing"
    READ_CLUSTERS = "read_clusters"
    """And take a link away from one, or give it back."""
    OVERSEE_SEALED = "oversee_sealed"
    """See who read a sealed matter and why, and say which handlers may know of it."""
    BREAK_GLASS = "break_glass"
    READ_AUDIT = "read_audit"
    MANAGE_PLATFORMS = "manage_platforms"
    MANAGE_WEBHOOKS = "manage_webhooks"
    READ_CALLBACKS = "read_callbacks"


P, R = Permission, Role

_CATALOGUES = frozenset({P.READ_AREAS, P.READ_UNITS, P.READ_CATEGORIES, P.READ_LIMITS})
_OFFICE = _CATALOGUES | {P.READ_INCIDENTS, P.MOVE_INCIDENTS, P.READ_NOTICES}

ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    R.GRID_WORKER: _OFFICE | {P.REPORT},
    R.GRID_MANAGER: _OFFICE | {P.REPORT, P.READ_RECEIPTS},
    R.DISPATCHER: _OFFICE
    | {
        P.REPORT,
        P.READ_RECEIPTS,
        P.READ_ROUTING,
        P.READ_CLUSTERS,
        P.READ_PEOPLE,
        P.READ_CALLBACKS,
        P.OVERSEE_SEALED,
        P.BREAK_GLASS,
    },
    R.HANDLER: _OFFICE | {P.READ_RECEIPTS},
    R.SUPERVISOR: _OFFICE
    | {P.READ_RECEIPTS, P.READ_ROUTING, P.READ_CLUSTERS, P.READ_PEOPLE, P.BREAK_GLASS},
    R.SECURITY_OFFICER: _CATALOGUES
    | {P.READ_PEOPLE, P.MANAGE_PEOPLE, P.READ_TERMINALS, P.MANAGE_TERMINALS, P.READ_NOTICES},
    R.AUDITOR: _CATALOGUES | {P.READ_AUDIT, P.READ_NOTICES},
    R.ADMINISTRATOR: _CATALOGUES
    | {
        P.MANAGE_AREAS,
        P.MANAGE_UNITS,
        P.MANAGE_CATEGORIES,
        P.MANAGE_LIMITS,
        P.READ_ROUTING,
        P.MANAGE_ROUTING,
        P.MANAGE_PLATFORMS,
        P.MANAGE_WEBHOOKS,
        P.READ_CALLBACKS,
        P.READ_NOTICES,
    },
    R.PLATFORM: _CATALOGUES
    | {P.READ_INCIDENTS, P.MOVE_INCIDENTS, P.MANAGE_WEBHOOKS, P.READ_CALLBACKS},
}

SEPARATED = frozenset({R.ADMINISTRATOR, R.SECURITY_OFFICER, R.AUDITOR})
"""三员分立: no person holds two of these."""


def demand_separated(roles: Iterable[Role]) -> None:
    """Whether one person may hold all of these. Raises RolesNotSeparated, RoleNotForPeople."""
    held = frozenset(roles)
    if Role.PLATFORM in held:
        raise RoleNotForPeople
    if len(held & SEPARATED) > 1:
        raise RolesNotSeparated
