"""Making units, people and platforms: used by the routes, the seeding and the operator's CLI.

All of these join the caller's transaction and leave a line in the audit trail.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.errors import PlatformCodeTaken, UnitCodeTaken, UsernameTaken
from app.accounts.hashing import demand_strong, hash_secret
from app.accounts.models import FormerPassword, Person, PersonGrid, Platform, RoleHolding, Unit
from app.accounts.permissions import Role, demand_separated
from app.core import audit
from app.core.crypto import random_token
from app.core.db import Model, new_id
from app.core.errors import Problem


async def create_unit(  # noqa: PLR0913 - one keyword a field
    session: AsyncSession,
    *,
    at: datetime,
    code: str,
    name: str,
    level: str,
    kind: str,
    area_code: str,
    parent_id: UUID | None = None,
    head_id: UUID | None = None,
    actor_id: UUID | None = None,
) -> Unit:
    """A unit of the village, township or district. Raises UnitCodeTaken."""
    unit = Unit(
        id=new_id(),
        code=code,
        name=name,
        level=level,
        kind=kind,
        area_code=area_code,
        parent_id=parent_id,
        head_id=head_id,
        active=True,
        revision=1,
    )
    await add_or_refuse(session, unit, UnitCodeTaken())
    facts = {"code": code, "level": level, "kind": kind, "area_code": area_code}
    await audit.note(
        session,
        at=at,
        actor_id=actor_id,
        action="unit.created",
        target=("unit", unit.id),
        **facts,
    )
    return unit


async def create_person(  # noqa: PLR0913 - one keyword a field
    session: AsyncSession,
    *,
    at: datetime,
    username: str,
    name: str,
    holdings: Sequence[tuple[Role, UUID]],
    password: str | None = None,
    grid_codes: Sequence[str] = (),
    phone_sealed: str | None = None,
    must_change_password: bool = False,
    actor_id: UUID | None = None,
) -> Person:
    """An account with its roles (role, unit id) and own grids.

    Without a password nobody can sign in before a one-time code has set one. `phone_sealed` comes
    from `passwords.seal_phone`. Raises UsernameTaken, PasswordTooWeak, RolesNotSeparated,
    RoleNotForPeople.
    """
    demand_separated(role for role, _ in holdings)
    if password is not None:
        demand_strong(password, username)
    hashed = await asyncio.to_thread(hash_secret, password) if password is not None else None
    person = Person(
        id=new_id(),
        username=username,
        name=name,
        phone_sealed=phone_sealed,
        password_hash=hashed,
        state="active",
        must_change_password=must_change_password,
        password_changed_at=at if hashed else None,
        created_at=at,
        revision=1,
    )
    await add_or_refuse(session, person, UsernameTaken())
    if hashed is not None:
        session.add(FormerPassword(person_id=person.id, password_hash=hashed, set_at=at))
    await session.flush()
    await give_roles(session, person.id, holdings)
    await give_grids(session, person.id, grid_codes)
    await audit.note(
        session,
        at=at,
        actor_id=actor_id,
        action="person.created",
        target=("person", person.id),
        holdings=described(holdings),
        grid_codes=sorted(set(grid_codes)),
    )
    return person


async def create_admin(
    session: AsyncSession,
    *,
    at: datetime,
    username: str,
    name: str,
    password: str,
    role: Role,
    unit_id: UUID,
) -> Person:
    """The first administrator, security officer or auditor; must change the password at once."""
    return await create_person(
        session,
        at=at,
        username=username,
        name=name,
        password=password,
        holdings=[(role, unit_id)],
        must_change_password=True,
    )


async def create_platform(
    session: AsyncSession,
    *,
    at: datetime,
    code: str,
    name: str,
    unit_id: UUID,
    secret: str | None = None,
    actor_id: UUID | None = None,
) -> tuple[Platform, str]:
    """A machine of a unit and its secret, shown this once. Raises PlatformCodeTaken."""
    secret = secret or random_token()
    platform = Platform(
        id=new_id(),
        code=code,
        name=name,
        secret_hash=await asyncio.to_thread(hash_secret, secret),
        unit_id=unit_id,
        state="active",
        created_at=at,
    )
    await add_or_refuse(session, platform, PlatformCodeTaken())
    await audit.note(
        session,
        at=at,
        actor_id=actor_id,
        action="platform.created",
        target=("platform", platform.id),
        code=code,
        unit_id=str(unit_id),
    )
    return platform, secret


async def give_roles(
    session: AsyncSession, person_id: UUID, holdings: Sequence[tuple[Role, UUID]]
) -> None:
    rows = [
        {"person_id": person_id, "unit_id": unit_id, "role": role.value}
        for role, unit_id in dict.fromkeys(holdings)
    ]
    if rows:
        await session.execute(insert(RoleHolding).values(rows))


async def give_grids(session: AsyncSession, person_id: UUID, grid_codes: Sequence[str]) -> None:
    rows = [{"person_id": person_id, "grid_code": code} for code in dict.fromkeys(grid_codes)]
    if rows:
        await session.execute(insert(PersonGrid).values(rows))


def described(holdings: Sequence[tuple[Role, UUID]]) -> list[str]:
    """`role@unit id`, for the audit trail."""
    return sorted({f"{role.value}@{unit_id}" for role, unit_id in holdings})


async def add_or_refuse(session: AsyncSession, row: Model, refusal: Problem) -> None:
    """Insert a row; a unique key that is taken becomes the refusal, the transaction lives on."""
    try:
        async with session.begin_nested():
            session.add(row)
            await session.flush()
    except IntegrityError as taken:
        if getattr(taken.orig, "sqlstate", None) != "23505":  # not a unique violation: a bug
            raise
        raise refusal from taken
