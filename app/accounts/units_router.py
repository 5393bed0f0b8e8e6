"""Units: the organisation as far as the caller may see it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import ColumnElement, or_, select

from app.accounts.caller import Caller, UnitKind
from app.accounts.dependencies import (
    ChangesRights,
    IdentifiedRoute,
    SeenRevision,
    TheAreaMap,
    ThePages,
    etag,
    require,
)
from app.accounts.errors import PersonNotFound, UnitCodeTaken, UnitMisplaced, UnitNotFound
from app.accounts.models import Unit
from app.accounts.organisation import NewUnit, Organiser, change_unit, found_unit
from app.accounts.permissions import Permission
from app.accounts.queries import among, like, unit_by_ref, units_above, visible_units
from app.accounts.schemas import NewUnitCommand, UnitChangesCommand, UnitRef, UnitView
from app.accounts.scope import areas_below, roles_with, roots_for
from app.accounts.unit_table import UnitTable
from app.areas.locate import AreaMap
from app.core.errors import (
    CursorInvalid,
    Forbidden,
    RevisionRequired,
    RevisionStale,
    Unauthenticated,
)
from app.core.fields import Code, Line
from app.core.http import (
    SHEET_BODY,
    SHEET_PROBLEMS,
    DryRun,
    Reading,
    TheResources,
    TheSheet,
    language_of,
    problems,
)
from app.core.importing import Sender, SheetImportView, import_sheet
from app.core.paging import Page

router = APIRouter(prefix="/units", tags=["units"], route_class=IdentifiedRoute)

Reader = Annotated[Caller, Depends(require(Permission.READ_UNITS))]
Manager = Annotated[Caller, Depends(require(Permission.MANAGE_UNITS))]


@dataclass(frozen=True)
class UnitFilters:
    """`q` looks in name and code; `area` keeps the units of that area and below it."""

    q: Annotated[Line | None, Query()] = None
    kind: Annotated[UnitKind | None, Query()] = None
    area: Annotated[Code | None, Query()] = None

    def conditions(self, areas: AreaMap) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.q is not None:
            found.append(or_(Unit.name.ilike(like(self.q)), Unit.code.ilike(like(self.q))))
        if self.kind is not None:
            found.append(Unit.kind == self.kind)
        if self.area is not None:
            found.append(among(Unit.area_code, areas.subtree(self.area)))
        return found


@router.get("", responses=problems(Unauthenticated, Forbidden, CursorInvalid))
async def list_units(
    areas: TheAreaMap,
    session: Reading,
    pages: ThePages,
    caller: Reader,
    filters: Annotated[UnitFilters, Depends()],
) -> Page[UnitView]:
    """Own subtree, everything above the own units, and the member units of an own centre."""
    position = pages.position(f"units:{caller.id}:{filters}")
    visible = await _visible(session, areas, caller)
    question = select(Unit).where(visible, Unit.active, *filters.conditions(areas))
    if position is not None:
        question = question.where(Unit.code > str(position[0]))
    rows = await session.scalars(question.order_by(Unit.code).limit(pages.fetch))
    page, following = pages.cut(rows.all(), lambda unit: [unit.code])
    return Page(items=[UnitView.model_validate(unit) for unit in page], next=following)


@router.get("/{unit}", responses=problems(Unauthenticated, Forbidden, UnitNotFound))
async def read_unit(
    unit: UnitRef, response: Response, areas: TheAreaMap, session: Reading, caller: Reader
) -> UnitView:
    """By id or code; also one that was switched off."""
    found = await unit_by_ref(session, unit)
    visible = await _visible(session, areas, caller)
    if found is None or not await session.scalar(
        select(Unit.id).where(Unit.id == found.id, visible)
    ):
        raise UnitNotFound
    return _tagged(response, found)


@router.post(
    "",
    status_code=201,
    responses=problems(
        Unauthenticated, Forbidden, UnitMisplaced, UnitNotFound, PersonNotFound, UnitCodeTaken
    ),
)
async def create_unit(
    command: NewUnitCommand,
    response: Response,
    resources: TheResources,
    areas: TheAreaMap,
    session: ChangesRights,
    caller: Manager,
) -> UnitView:
    """A centre or a member department inside the caller's subtree."""
    unit = await found_unit(
        session,
        _organiser(caller),
        areas,
        NewUnit(**command.model_dump()),
        resources.clock.now(),
    )
    return _tagged(response, unit)


@router.post(
    "/import",
    responses=problems(Unauthenticated, Forbidden, *SHEET_PROBLEMS),
    openapi_extra=SHEET_BODY,
)
async def import_units(
    request: Request,
    caller: Manager,
    content: TheSheet,
    resources: TheResources,
    areas: TheAreaMap,
    session: ChangesRights,
    *,
    dry_run: DryRun = False,
) -> SheetImportView:
    """Found and change units by a table (CSV or XLSX): all its rows or none; a repeat is harmless.

    Columns `code,name,level,kind,area_code`, and if wanted `parent,head,active`; parents first.
    """
    at = resources.clock.now()
    sender = Sender(caller.id, at, language_of(request))
    table = UnitTable(_organiser(caller), areas, at)
    return await import_sheet(session, table, content, sender, dry_run=dry_run)


@router.patch(
    "/{unit}",
    responses=problems(
        Unauthenticated,
        Forbidden,
        UnitNotFound,
        RevisionRequired,
        RevisionStale,
        UnitMisplaced,
        PersonNotFound,
        UnitCodeTaken,
    ),
)
async def update_unit(
    unit: UnitRef,
    command: UnitChangesCommand,
    response: Response,
    resources: TheResources,
    areas: TheAreaMap,
    session: ChangesRights,
    caller: Manager,
    revision: SeenRevision,
) -> UnitView:
    """Rename, move, give a head, switch off or on; `If-Match` names the revision seen."""
    given = command.model_dump(exclude_unset=True)
    changes = {k: v for k, v in given.items() if v is not None or k in {"parent", "head_id"}}
    try:
        changed = await change_unit(
            session,
            _organiser(caller),
            areas,
            ref=unit,
            revision=revision,
            changes=changes,
            at=resources.clock.now(),
        )
    except RevisionStale:
        standing = await unit_by_ref(session, unit)
        current = UnitView.model_validate(standing)
        tag = etag(current.revision)
        raise RevisionStale.over(current, tag, revision=current.revision) from None
    return _tagged(response, changed)


def _organiser(caller: Caller) -> Organiser:
    return Organiser(caller.id, roots_for(caller, Permission.MANAGE_UNITS))


async def _visible(session: Reading, areas: AreaMap, caller: Caller) -> ColumnElement[bool]:
    own = caller.unit_ids(*roles_with(Permission.READ_UNITS))
    above = await units_above(session, own)
    roots = roots_for(caller, Permission.READ_UNITS)
    return visible_units(areas_below(areas, roots), own, above)


def _tagged(response: Response, unit: Unit) -> UnitView:
    response.headers["ETag"] = etag(unit.revision)
    return UnitView.model_validate(unit)
