"""Changing people: accounts, their roles, their grids, their state."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.enrolment import create_person, described, give_grids, give_roles
from app.accounts.errors import (
    GridBeyondUnits,
    OwnAccount,
    PersonBeyondScope,
    PersonNotFound,
    UnitNotFound,
)
from app.accounts.models import LoginSession, Person, PersonGrid, RoleHolding, Unit
from app.accounts.passwords import issue_reset
from app.accounts.permissions import Role, demand_separated
from app.accounts.queries import holdings_of, unit_by_ref, works_in
from app.accounts.scope import AreaTree, reaches
from app.accounts.tokens import end_sessions
from app.core import audit
from app.core.errors import RevisionStale


@dataclass(frozen=True, slots=True)
class Officer:
    """A security officer at work: id, tops of their subtrees, and all areas in these."""

    id: UUID
    roots: frozenset[str]
    areas: frozenset[str]


@dataclass(frozen=True, slots=True)
class NewPerson:
    username: str
    name: str
    phone_sealed: str | None
    roles: Sequence[tuple[Role, str]]
    """(role, id or code of the unit)."""
    grid_codes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Enrolled:
    person: Person
    code: str
    """One-time code for the first password, shown this once."""
    code_ends: datetime


@dataclass(frozen=True, slots=True)
class PersonChanges:
    """None: stays as it is."""

    name: str | None = None
    phone_sealed: str | None = None
    state: str | None = None
    roles: Sequence[tuple[Role, str]] | None = None
    grid_codes: Sequence[str] | None = None


async def find_person(session: AsyncSession, areas: Collection[str], person_id: UUID) -> Person:
    """Raises PersonNotFound, also for people who work elsewhere."""
    person = await session.scalar(select(Person).where(Person.id == person_id, works_in(areas)))
    if person is None:
        raise PersonNotFound
    return person


async def enrol(
    session: AsyncSession, officer: Officer, tree: AreaTree, new: NewPerson, at: datetime
) -> Enrolled:
    """A new account without a password. Raises what `create_person` does, and UnitNotFound."""
    units = await _units(session, officer, tree, new.roles)
    _demand_grids(tree, [unit for _, unit in units], new.grid_codes)
    person = await create_person(
        session,
        at=at,
        username=new.username,
        name=new.name,
        phone_sealed=new.phone_sealed,
        holdings=[(role, unit.id) for role, unit in units],
        grid_codes=new.grid_codes,
        actor_id=officer.id,
    )
    code, ends = await issue_reset(session, person_id=person.id, actor_id=officer.id, at=at)
    return Enrolled(person, code, ends)


async def change_person(
    session: AsyncSession,
    officer: Officer,
    tree: AreaTree,
    *,
    person_id: UUID,
    revision: int,
    changes: PersonChanges,
    at: datetime,
) -> Person:
    """Raises PersonNotFound, PersonBeyondScope, OwnAccount, RevisionStale, RolesNotSeparated, …."""
    person = await manageable(session, officer, tree, person_id)
    if person.revision != revision:
        raise RevisionStale
    before = [(role, unit.id) for role, unit in (await _held(session, person.id))]
    if changes.roles is not None:
        await _replace_roles(session, officer, tree, person, changes.roles)
    if changes.grid_codes is not None:
        await _replace_grids(session, tree, person, changes.grid_codes)
    await _replace_fields(session, person, changes, at)
    await audit.note(
        session,
        at=at,
        actor_id=officer.id,
        action="person.changed",
        target=("person", person.id),
        state=person.state,
        before=described(before),
        after=described([(role, unit.id) for role, unit in await _held(session, person.id)]),
    )
    return person


async def give_reset(
    session: AsyncSession, officer: Officer, tree: AreaTree, person_id: UUID, at: datetime
) -> tuple[str, datetime]:
    """A one-time code for somebody else. Raises as `manageable`."""
    person = await manageable(session, officer, tree, person_id)
    return await issue_reset(session, person_id=person.id, actor_id=officer.id, at=at)


async def manageable(
    session: AsyncSession, officer: Officer, tree: AreaTree, person_id: UUID
) -> Person:
    """Somebody else, whose every role lies in the officer's reach; the row is locked.

    Without the second rule a township's officer could take over an account that also works for
    the district. Raises PersonNotFound, PersonBeyondScope, OwnAccount.
    """
    person = await find_person(session, officer.areas, person_id)
    await session.refresh(person, with_for_update=True)
    held = await _held(session, person.id)
    if not all(reaches(tree, officer.roots, unit.area_code) for _, unit in held):
        raise PersonBeyondScope
    if person.id == officer.id:
        raise OwnAccount
    return person


async def _held(session: AsyncSession, person_id: UUID) -> list[tuple[Role, Unit]]:
    return (await holdings_of(session, [person_id])).get(person_id, [])


async def _units(
    session: AsyncSession, officer: Officer, tree: AreaTree, roles: Sequence[tuple[Role, str]]
) -> list[tuple[Role, Unit]]:
    found = []
    for role, ref in roles:
        unit = await unit_by_ref(session, ref)
        if unit is None or not reaches(tree, officer.roots, unit.area_code):
            raise UnitNotFound(unit=ref)
        found.append((role, unit))
    return found


def _demand_grids(tree: AreaTree, units: Sequence[Unit], grid_codes: Sequence[str]) -> None:
    tops = [unit.area_code for unit in units]
    beyond = sorted(code for code in set(grid_codes) if not reaches(tree, tops, code))
    if beyond:
        raise GridBeyondUnits(grids=beyond)


async def _replace_roles(
    session: AsyncSession,
    officer: Officer,
    tree: AreaTree,
    person: Person,
    roles: Sequence[tuple[Role, str]],
) -> None:
    demand_separated(role for role, _ in roles)
    units = await _units(session, officer, tree, roles)
    await session.execute(delete(RoleHolding).where(RoleHolding.person_id == person.id))
    await give_roles(session, person.id, [(role, unit.id) for role, unit in units])


async def _replace_grids(
    session: AsyncSession, tree: AreaTree, person: Person, grid_codes: Sequence[str]
) -> None:
    _demand_grids(tree, [unit for _, unit in await _held(session, person.id)], grid_codes)
    await session.execute(delete(PersonGrid).where(PersonGrid.person_id == person.id))
    await give_grids(session, person.id, grid_codes)


async def _replace_fields(
    session: AsyncSession, person: Person, changes: PersonChanges, at: datetime
) -> None:
    person.name = changes.name or person.name
    person.phone_sealed = changes.phone_sealed or person.phone_sealed
    if changes.state is not None:
        person.state = changes.state
    if person.state == "disabled":
        await end_sessions(
            session, LoginSession.person_id == person.id, at=at, reason="account-disabled"
        )
    person.revision += 1
    await session.flush()
