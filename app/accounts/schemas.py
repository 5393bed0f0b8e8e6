"""What goes over the wire about signing in, oneself, units, terminals, platforms and the audit."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.accounts.caller import UnitKind, UnitLevel
from app.accounts.permissions import Permission, Role
from app.core.fields import Code, Command, Count, Line, View

Shown = Annotated[str, Field(max_length=200)]
ShownCode = Annotated[str, Field(max_length=64)]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Revision = Annotated[int, Field(ge=1, le=2**53)]
UnitRef = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")
]
"""A unit's id or code."""


class TokenForm(View):
    """Fields of `POST /token` (RFC 6749): unknown ones are ignored, as OAuth demands."""

    grant_type: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    username: Annotated[str | None, Field(max_length=64)] = None
    password: Secret | None = None
    terminal_id: Code | None = None
    """Installation id; none for a web desk."""
    terminal_model: Annotated[str | None, Field(max_length=200)] = None
    app_version: Annotated[str | None, Field(max_length=64)] = None
    refresh_token: Secret | None = None
    client_id: Annotated[str | None, Field(max_length=64)] = None
    client_secret: Secret | None = None


class RevokeForm(View):
    """Fields of `POST /token/revoke` (RFC 7009)."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=2048)]


class TokenView(View):
    access_token: Annotated[str, Field(max_length=2048)]
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of the scheme
    expires_in: Annotated[int, Field(ge=1, le=900)]
    """Seconds."""
    refresh_token: Annotated[str | None, Field(max_length=256)] = None


class RevokedView(View):
    revoked: Literal[True] = True


class UnitBrief(View):
    id: UUID
    code: ShownCode
    name: Shown
    level: UnitLevel


class UnitView(UnitBrief):
    kind: UnitKind
    area_code: ShownCode
    parent_id: UUID | None
    head_id: UUID | None
    active: bool
    revision: Revision


class NewUnitCommand(Command):
    code: Code
    name: Line
    level: UnitLevel
    kind: UnitKind
    area_code: Code
    parent: UnitRef | None = None
    """Id or code of the unit above."""
    head_id: UUID | None = None


class UnitChangesCommand(Command):
    """What is left out stays as it is; a null `parent` or `head_id` means none."""

    name: Line | None = None
    parent: UnitRef | None = None
    head_id: UUID | None = None
    active: bool | None = None


class PersonBrief(View):
    id: UUID
    name: Shown
    username: ShownCode


class HeldRole(View):
    role: Role
    unit: UnitBrief


class MeView(View):
    person: PersonBrief
    kind: Literal["person", "platform"]
    roles: Annotated[list[HeldRole], Field(max_length=200)]
    units: Annotated[list[UnitBrief], Field(max_length=200)]
    grids: Annotated[list[ShownCode], Field(max_length=2000)]
    terminal: Annotated[str | None, Field(max_length=64)]
    permissions: Annotated[list[Permission], Field(max_length=100)]
    must_change_password: bool


class LoginSessionView(View):
    id: UUID
    terminal_id: Annotated[str | None, Field(max_length=64)]
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool


class PasswordCommand(Command):
    old: Secret
    new: Secret


class PasswordResetCommand(Command):
    username: Annotated[Line, Field(max_length=64)]
    code: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    new_password: Secret


class TerminalView(View):
    id: ShownCode
    person_id: UUID
    model: Annotated[str | None, Field(max_length=200)]
    app_version: Annotated[str | None, Field(max_length=64)]
    state: Literal["active", "pending", "revoked"]
    bound_at: datetime
    last_seen_at: datetime | None


class NewTerminalCommand(Command):
    id: Code
    person_id: UUID
    model: Line | None = None


class PlatformView(View):
    id: UUID
    code: ShownCode
    name: Shown
    unit_id: UUID
    state: Literal["active", "disabled"]
    created_at: datetime


class PlatformWithSecret(PlatformView):
    secret: Annotated[str, Field(max_length=128)]
    """Shown this once."""


class NewPlatformCommand(Command):
    code: Code
    name: Line
    unit: UnitRef


class AuditView(View):
    id: Count
    at: datetime
    actor_id: UUID | None
    action: ShownCode
    object_kind: ShownCode
    object_id: Shown
    facts: dict[str, Any]
