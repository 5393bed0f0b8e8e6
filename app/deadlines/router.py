"""`/calendar`, `/limits`, `/office-hours`: read by everybody, changed by administrators."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sqlalchemy import select

from app.accounts.caller import Caller
from app.accounts.dependencies import IdentifiedRoute, TheAreaMap, require
from app.accounts.errors import UnitNotFound
from app.accounts.permissions import Permission
from app.accounts.scope import areas_below, roots_for
from app.categories.dependencies import IfMatch, IfNoneMatch, catalogue, next_link, written
from app.categories.errors import CategoryUnknown
from app.core.errors import CursorInvalid, RevisionRequired, RevisionStale
from app.core.http import (
    SHEET_BODY,
    SHEET_PROBLEMS,
    DryRun,
    Reading,
    TheResources,
    TheSheet,
    Transaction,
    language_of,
    problems,
)
from app.core.importing import Sender, SheetImportView, import_sheet
from app.core.paging import MAX_LIMIT, Cursors, Page
from app.deadlines import changing, importing
from app.deadlines.errors import (
    CalendarImportRefused,
    CalendarTooLong,
    CalendarUnreadable,
    OfficeHoursNotFound,
)
from app.deadlines.limit_table import LimitTable
from app.deadlines.models import CalendarDay, Limit
from app.deadlines.schemas import (
    CalendarDayView,
    CalendarImport,
    CalendarImportView,
    CalendarPage,
    LimitChange,
    LimitView,
    OfficeHoursChange,
    OfficeHoursView,
)

router = APIRouter(tags=["deadlines"], route_class=IdentifiedRoute)

Reader = Annotated[Caller, Depends(require(Permission.READ_LIMITS))]
Manager = Annotated[Caller, Depends(require(Permission.MANAGE_LIMITS))]
Cursor = Annotated[str | None, Query(max_length=1024)]
PageLimit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
HoursOwner = Annotated[UUID | Literal["default"], Path(description="A unit's id, or `default`")]


@router.get("/calendar", response_model=CalendarPage, responses=problems(CursorInvalid))
async def read_calendar(
    request: Request,
    _: Reader,
    session: Reading,
    resources: TheResources,
    year: Annotated[int, Query(ge=importing.YEARS[0], le=importing.YEARS[-1])],
    if_none_match: IfNoneMatch = None,
    cursor: Cursor = None,
    limit: PageLimit = MAX_LIMIT,
) -> Response:
    """The days of a year that differ from the week: legal holidays and 调休 working days."""
    cursors = Cursors(resources.keys, f"calendar:{year}")
    after = cursors.read(cursor)
    days = select(CalendarDay).where(CalendarDay.day.between(date(year, 1, 1), date(year, 12, 31)))
    if after is not None:
        days = days.where(CalendarDay.day > date.fromisoformat(after[0]))
    found = (await session.scalars(days.order_by(CalendarDay.day).limit(limit + 1))).all()
    rows, following = cursors.cut(found, limit, lambda row: (row.day.isoformat(),))
    page = CalendarPage(
        items=[CalendarDayView.model_validate(row) for row in rows],
        next=following,
        published=bool(rows) or after is not None,
    )
    return catalogue(page, if_none_match, link=next_link(request, following))


@router.post(
    "/calendar/import",
    responses=problems(CalendarImportRefused, CalendarUnreadable, CalendarTooLong),
)
async def import_calendar(
    request: Request,
    wanted: CalendarImport,
    caller: Manager,
    session: Transaction,
    resources: TheResources,
) -> CalendarImportView:
    """Write the file's days, or none of them when a row has a mistake."""
    report = await importing.import_calendar(
        session,
        wanted.csv,
        actor_id=caller.id,
        at=resources.clock.now(),
        dry_run=wanted.dry_run,
        language=language_of(request),
    )
    return CalendarImportView.of(report)


@router.get("/limits", response_model=Page[LimitView], responses=problems(CursorInvalid))
async def list_limits(
    request: Request,
    _: Reader,
    session: Reading,
    resources: TheResources,
    if_none_match: IfNoneMatch = None,
    cursor: Cursor = None,
    limit: PageLimit = MAX_LIMIT,
) -> Response:
    """Every limit; the most specific one wins: category, its root, level, default."""
    cursors = Cursors(resources.keys, "limits")
    after = cursors.read(cursor)
    limits = select(Limit).where(Limit.id > (after[0] if after else 0))
    found = (await session.scalars(limits.order_by(Limit.id).limit(limit + 1))).all()
    rows, following = cursors.cut(found, limit, lambda row: (row.id,))
    page = Page[LimitView](items=[LimitView.model_validate(row) for row in rows], next=following)
    return catalogue(page, if_none_match, link=next_link(request, following))


@router.put(
    "/limits",
    response_model=LimitView,
    responses={
        **problems(CategoryUnknown, RevisionRequired, RevisionStale),
        201: {"model": LimitView, "description": "Created"},
    },
)
async def change_limit(
    change: LimitChange, caller: Manager, session: Transaction, resources: TheResources
) -> Response:
    """Create one limit (without `revision`) or change it (with the revision you saw)."""
    view, new = await changing.change_limit(
        session, change, actor_id=caller.id, at=resources.clock.now()
    )
    return written(view, status=201 if new else 200)


@router.post("/limits/import", responses=problems(*SHEET_PROBLEMS), openapi_extra=SHEET_BODY)
async def import_limits(
    request: Request,
    caller: Manager,
    content: TheSheet,
    session: Transaction,
    resources: TheResources,
    *,
    dry_run: DryRun = False,
) -> SheetImportView:
    """Set limits by a table (CSV or XLSX): all its rows or none; a repeat is harmless.

    Columns as of `PUT /v1/limits`, without `revision`; an empty cell is null there.
    """
    at = resources.clock.now()
    sender = Sender(caller.id, at, language_of(request))
    table = LimitTable(caller.id, at)
    return await import_sheet(session, table, content, sender, dry_run=dry_run)


@router.get(
    "/office-hours/{unit_id}",
    response_model=OfficeHoursView,
    responses=problems(OfficeHoursNotFound),
)
async def read_office_hours(
    unit_id: HoursOwner, _: Reader, session: Reading, if_none_match: IfNoneMatch = None
) -> Response:
    """A unit's own hours (404 where the default ones apply), or the default ones."""
    view = await changing.read_office_hours(session, _unit(unit_id))
    if view is None:
        raise OfficeHoursNotFound
    return catalogue(view, if_none_match)


@router.put(
    "/office-hours/{unit_id}",
    response_model=OfficeHoursView,
    responses={
        **problems(UnitNotFound, RevisionRequired, RevisionStale),
        201: {"model": OfficeHoursView, "description": "Created"},
    },
)
async def change_office_hours(
    unit_id: HoursOwner,
    change: OfficeHoursChange,
    caller: Manager,
    areas: TheAreaMap,
    session: Transaction,
    resources: TheResources,
    if_match: IfMatch = None,
) -> Response:
    """Set them (without If-Match) or change them (with the ETag you saw)."""
    view, new = await changing.change_office_hours(
        session,
        _unit(unit_id),
        change,
        if_match,
        within=areas_below(areas, roots_for(caller, Permission.MANAGE_LIMITS)),
        actor_id=caller.id,
        at=resources.clock.now(),
    )
    return written(view, status=201 if new else 200)


def _unit(owner: UUID | Literal["default"]) -> UUID | None:
    return None if isinstance(owner, str) else owner
