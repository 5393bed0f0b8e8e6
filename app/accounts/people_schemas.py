"""What goes over the wire about people."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints

from app.accounts.permissions import Role
from app.accounts.schemas import HeldRole, PersonBrief, Revision, ShownCode, UnitRef
from app.accounts.staffing import NewPerson
from app.core.fields import Code, Command, Count, Line, View

Username = Annotated[
    str,
    StringConstraints(min_length=3, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]+$"),
]
Phone = Annotated[
    str, StringConstraints(min_length=5, max_length=20, pattern=r"^\+?[0-9][0-9 -]+$")
]


class RoleCommand(Command):
    role: Role
    unit: UnitRef
    """Id or code."""


Roles = Annotated[tuple[RoleCommand, ...], Field(min_length=1, max_length=50)]
Grids = Annotated[tuple[Code, ...], Field(max_length=200)]


class NewPersonCommand(Command):
    username: Username
    name: Line
    phone: Phone | None = None
    roles: Roles
    grid_codes: Grids = ()

    def as_new_person(self, phone_sealed: str | None) -> NewPerson:
        return NewPerson(
            username=self.username,
            name=self.name,
            phone_sealed=phone_sealed,
            roles=[(held.role, held.unit) for held in self.roles],
            grid_codes=self.grid_codes,
        )


class PersonChangesCommand(Command):
    """What is left out, or null, stays as it is. `roles` and `grid_codes` replace the whole."""

    name: Line | None = None
    phone: Phone | None = None
    state: Literal["active", "disabled"] | None = None
    roles: Roles | None = None
    grid_codes: Grids | None = None


class PersonView(PersonBrief):
    phone: Annotated[str | None, Field(max_length=20)]
    """Masked."""
    state: Literal["active", "disabled"]
    must_change_password: bool
    roles: Annotated[list[HeldRole], Field(max_length=200)]
    grid_codes: Annotated[list[ShownCode], Field(max_length=2000)]
    revision: Revision


class ResetView(View):
    """A one-time code for `POST /password-reset`, shown this once."""

    code: Annotated[str, Field(max_length=64)]
    expires_at: datetime


class EnrolledView(View):
    person: PersonView
    reset: ResetView


class ImportPeopleCommand(Command):
    csv: Annotated[str, StringConstraints(min_length=1, max_length=200_000)]
    """UTF-8, at most 500 rows under the header `username,name,phone,roles,grids`."""
    dry_run: bool = False


class ImportedPerson(View):
    line: Count
    username: Annotated[str, Field(max_length=64)]
    outcome: Literal["created", "refused"]
    problem: Annotated[str | None, Field(max_length=64)] = None
    message: Annotated[str | None, Field(max_length=500)] = None
    person_id: UUID | None = None
    code: Annotated[str | None, Field(max_length=64)] = None
    """One-time code for the first password."""

    @classmethod
    def created(cls, line: int, username: str, person_id: UUID, code: str) -> Self:
        return cls(line=line, username=username, outcome="created", person_id=person_id, code=code)

    @classmethod
    def refused(cls, line: int, username: str, problem: str, message: str) -> Self:
        return cls(
            line=line, username=username, outcome="refused", problem=problem, message=message[:500]
        )


class ImportReport(View):
    dry_run: bool
    created: Count
    refused: Count
    rows: Annotated[list[ImportedPerson], Field(max_length=500)]
