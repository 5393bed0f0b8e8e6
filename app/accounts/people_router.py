"""People: who works where; accounts, roles, grids, one-time codes, import."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.accounts.dependencies import (
    ChangesRights,
    IdentifiedRoute,
    SeenRevision,
    TheAreaMap,
    ThePages,
    etag,
    no_store,
    require,
)
from app.accounts.errors import (
    GridBeyondUnits,
    ImportTooLong,
    ImportUnreadable,
    OwnAccount,
    PersonBeyondScope,
    PersonNotFound,
    RoleNotForPeople,
    RolesNotSeparated,
    UnitNotFound,
    UsernameTaken,
)
from app.accounts.importing import Importer, import_people
from app.accounts.models import Person, RoleHolding
from app.accounts.passwords import masked_phone, seal_phone
from app.accounts.people_schemas import (
    EnrolledView,
    ImportPeopleCommand,
    ImportReport,
    NewPersonCommand,
    PersonChangesCommand,
    PersonView,
    ResetView,
)
from app.accounts.permissions import Permission, Role
from app.accounts.queries import grids_of, holdings_of, like, unit_by_ref, works_in
from app.accounts.schemas import HeldRole, UnitBrief, UnitRef
from app.accounts.scope import areas_below, roots_for
from app.accounts.staffing import (
    Officer,
    PersonChanges,
    change_person,
    enrol,
    find_person,
    give_reset,
)
from app.core.errors import (
    CursorInvalid,
    Forbidden,
    RevisionRequired,
    RevisionStale,
    Unauthenticated,
)
from app.core.fields import Line
from app.core.http import Reading, TheResources, language_of, problems
from app.core.paging import Page
from app.core.resources import Resources

router = APIRouter(
    prefix="/people", tags=["people"], dependencies=[Depends(no_store)], route_class=IdentifiedRoute
)


async def readable_areas(
    areas: TheAreaMap, caller: Annotated[Caller, Depends(require(Permission.READ_PEOPLE))]
) -> frozenset[str]:
    return areas_below(areas, roots_for(caller, Permission.READ_PEOPLE))


async def officer(
    areas: TheAreaMap, caller: Annotated[Caller, Depends(require(Permission.MANAGE_PEOPLE))]
) -> Officer:
    roots = roots_for(caller, Permission.MANAGE_PEOPLE)
    return Officer(caller.id, roots, areas_below(areas, roots))


ReadableAreas = Annotated[frozenset[str], Depends(readable_areas)]
TheOfficer = Annotated[Officer, Depends(officer)]


@router.get("", responses=problems(Unauthenticated, Forbidden, CursorInvalid, UnitNotFound))
async def list_people(
    resources: TheResources,
    areas: ReadableAreas,
    session: Reading,
    pages: ThePages,
    q: Annotated[Line | None, Query()] = None,
    role: Role | None = None,
    unit: Annotated[UnitRef | None, Query()] = None,
) -> Page[PersonView]:
    """People holding a role in the caller's subtree, by user name. `q` looks in both names."""
    position = pages.position(f"people:{q}:{role}:{unit}")
    question = select(Person).where(works_in(areas))
    if q is not None:
        question = question.where(or_(Person.name.ilike(like(q)), Person.username.ilike(like(q))))
    if role is not None or unit is not None:
        question = question.where(await _holding(session, role, unit))
    if position is not None:
        question = question.where(Person.username > str(position[0]))
    rows = await session.scalars(question.order_by(Person.username).limit(pages.fetch))
    page, following = pages.cut(rows.all(), lambda person: [person.username])
    return Page(items=await _shown(session, resources, page), next=following)


@router.get("/{person_id}", responses=problems(Unauthenticated, Forbidden, PersonNotFound))
async def read_person(
    person_id: UUID,
    response: Response,
    resources: TheResources,
    areas: ReadableAreas,
    session: Reading,
) -> PersonView:
    person = await find_person(session, areas, person_id)
    return await _tagged(session, resources, response, person)


@router.post(
    "",
    status_code=201,
    responses=problems(
        Unauthenticated,
        Forbidden,
        UnitNotFound,
        UsernameTaken,
        RolesNotSeparated,
        RoleNotForPeople,
        GridBeyondUnits,
    ),
)
async def create_person(
    command: NewPersonCommand,
    resources: TheResources,
    areas: TheAreaMap,
    session: ChangesRights,
    officer: TheOfficer,
) -> EnrolledView:
    """A new account, and the one-time code with which its holder sets the first password."""
    new = command.as_new_person(seal_phone(resources.keys, command.phone))
    done = await enrol(session, officer, areas, new, resources.clock.now())
    (shown,) = await _shown(session, resources, [done.person])
    return EnrolledView(person=shown, reset=ResetView(code=done.code, expires_at=done.code_ends))


@router.patch(
    "/{person_id}",
    responses=problems(
        Unauthenticated,
        Forbidden,
        OwnAccount,
        PersonBeyondScope,
        PersonNotFound,
        UnitNotFound,
        RolesNotSeparated,
        RoleNotForPeople,
        GridBeyondUnits,
        RevisionRequired,
        RevisionStale,
    ),
)
async def update_person(
    person_id: UUID,
    command: PersonChangesCommand,
    response: Response,
    resources: TheResources,
    areas: TheAreaMap,
    session: ChangesRights,
    officer: TheOfficer,
    revision: SeenRevision,
) -> PersonView:
    """Roles and grids given here replace the old ones; a disabled account is signed out."""
    roles = command.roles
    changes = PersonChanges(
        name=command.name,
        phone_sealed=seal_phone(resources.keys, command.phone),
        state=command.state,
        roles=None if roles is None else [(held.role, held.unit) for held in roles],
        grid_codes=command.grid_codes,
    )
    try:
        person = await change_person(
            session,
            officer,
            areas,
            person_id=person_id,
            revision=revision,
            changes=changes,
            at=resources.clock.now(),
        )
    except RevisionStale:
        person = await session.get_one(Person, person_id)
        (current,) = await _shown(session, resources, [person])
        standing = person.revision
        raise RevisionStale.over(current, etag(standing), revision=standing) from None
    return await _tagged(session, resources, response, person)


@router.post(
    "/{person_id}/password-reset",
    status_code=201,
    responses=problems(Unauthenticated, Forbidden, OwnAccount, PersonBeyondScope, PersonNotFound),
)
async def issue_password_reset(
    person_id: UUID,
    resources: TheResources,
    areas: TheAreaMap,
    session: ChangesRights,
    officer: TheOfficer,
) -> ResetView:
    """A one-time code for somebody who forgot the password; earlier codes die."""
    code, ends = await give_reset(session, officer, areas, person_id, resources.clock.now())
    return ResetView(code=code, expires_at=ends)


@router.post(
    "/import", responses=problems(Unauthenticated, Forbidden, ImportUnreadable, ImportTooLong)
)
async def import_people_list(
    request: Request,
    command: ImportPeopleCommand,
    resources: TheResources,
    areas: TheAreaMap,
    session: ChangesRights,
    officer: TheOfficer,
) -> ImportReport:
    """Every row gets its own answer; good rows are kept even when others are refused."""
    importer = Importer(officer, areas, resources.keys, language_of(request), resources.clock.now())
    rows = await import_people(session, importer, command.csv, dry_run=command.dry_run)
    created = sum(row.outcome == "created" for row in rows)
    return ImportReport(
        dry_run=command.dry_run, created=created, refused=len(rows) - created, rows=rows
    )


async def _holding(
    session: AsyncSession, role: Role | None, unit: str | None
) -> ColumnElement[bool]:
    held = select(1).where(RoleHolding.person_id == Person.id)
    if role is not None:
        held = held.where(RoleHolding.role == role.value)
    if unit is not None:
        found = await unit_by_ref(session, unit)
        if found is None:
            raise UnitNotFound
        held = held.where(RoleHolding.unit_id == found.id)
    return exists(held)


async def _shown(
    session: AsyncSession, resources: Resources, people: Sequence[Person]
) -> list[PersonView]:
    ids = [person.id for person in people]
    held, grids = await holdings_of(session, ids), await grids_of(session, ids)
    return [
        PersonView(
            id=person.id,
            name=person.name,
            username=person.username,
            phone=masked_phone(resources.keys, person.phone_sealed),
            state=person.state,
            must_change_password=person.must_change_password,
            roles=[
                HeldRole(role=role, unit=UnitBrief.model_validate(unit))
                for role, unit in held.get(person.id, [])
            ],
            grid_codes=list(grids.get(person.id, [])),
            revision=person.revision,
        )
        for person in people
    ]


async def _tagged(
    session: AsyncSession, resources: Resources, response: Response, person: Person
) -> PersonView:
    response.headers["ETag"] = etag(person.revision)
    (shown,) = await _shown(session, resources, [person])
    return shown
