"""`/categories`: read by everybody, changed by administrators."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response

from app.accounts.caller import Caller
from app.accounts.dependencies import IdentifiedRoute, require
from app.accounts.permissions import Permission
from app.categories import changing, queries
from app.categories.dependencies import IfMatch, IfNoneMatch, catalogue, next_link, written
from app.categories.errors import (
    CategoryNotFound,
    CategoryParentMissing,
    CategoryStaysSealed,
    ExternalCodeTaken,
)
from app.categories.schemas import CategoryChange, CategoryCodeText, CategoryView, ExternalCodes
from app.categories.table import CategoryTable
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

router = APIRouter(prefix="/categories", tags=["categories"], route_class=IdentifiedRoute)

Reader = Annotated[Caller, Depends(require(Permission.READ_CATEGORIES))]
Manager = Annotated[Caller, Depends(require(Permission.MANAGE_CATEGORIES))]
CategoryPath = Annotated[CategoryCodeText, Path()]


@router.get("", response_model=Page[CategoryView], responses=problems(CursorInvalid))
async def list_categories(
    request: Request,
    _: Reader,
    session: Reading,
    resources: TheResources,
    if_none_match: IfNoneMatch = None,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = MAX_LIMIT,
) -> Response:
    """The whole tree, each parent right before its children."""
    cursors = Cursors(resources.keys, "categories")
    tree = await queries.load(session)
    rows = [CategoryView.of(tree, node) for node in tree.in_order()]
    after = cursors.read(cursor)
    if after is not None:
        # a category is never deleted, so the last one shown is still there
        rows = rows[[row.code for row in rows].index(after[0]) + 1 :]
    items, following = cursors.cut(rows[: limit + 1], limit, lambda row: (row.code,))
    page = Page[CategoryView](items=list(items), next=following)
    return catalogue(page, if_none_match, link=next_link(request, following))


@router.get("/{code}", response_model=CategoryView, responses=problems(CategoryNotFound))
async def read_category(
    code: CategoryPath, _: Reader, session: Reading, if_none_match: IfNoneMatch = None
) -> Response:
    tree = await queries.load(session)
    node = tree.get(code)
    if node is None:
        raise CategoryNotFound
    return catalogue(CategoryView.of(tree, node), if_none_match)


@router.post("/import", responses=problems(*SHEET_PROBLEMS), openapi_extra=SHEET_BODY)
async def import_categories(
    request: Request,
    caller: Manager,
    content: TheSheet,
    session: Transaction,
    resources: TheResources,
    *,
    dry_run: DryRun = False,
) -> SheetImportView:
    """Change the catalogue by a table (CSV or XLSX): all its rows or none; a repeat is harmless.

    Columns `code,name`, and if wanted `active,sealed,position`; parents first.
    """
    at = resources.clock.now()
    sender = Sender(caller.id, at, language_of(request))
    table = CategoryTable(caller.id, at)
    return await import_sheet(session, table, content, sender, dry_run=dry_run)


@router.put(
    "/{code}",
    response_model=CategoryView,
    responses={
        **problems(CategoryParentMissing, CategoryStaysSealed, RevisionRequired, RevisionStale),
        201: {"model": CategoryView, "description": "Created"},
    },
)
async def change_category(
    code: CategoryPath,
    change: CategoryChange,
    caller: Manager,
    session: Transaction,
    resources: TheResources,
    if_match: IfMatch = None,
) -> Response:
    """Create it (without If-Match) or change it (with the ETag you saw)."""
    view, new = await changing.change_category(
        session, code, change, if_match, actor_id=caller.id, at=resources.clock.now()
    )
    return written(view, status=201 if new else 200)


@router.put(
    "/{code}/external-codes",
    response_model=CategoryView,
    responses=problems(CategoryNotFound, ExternalCodeTaken, RevisionRequired, RevisionStale),
)
async def change_external_codes(
    code: CategoryPath,
    codes: Annotated[ExternalCodes, Body()],
    caller: Manager,
    session: Transaction,
    resources: TheResources,
    if_match: IfMatch = None,
) -> Response:
    """Replace the category's codes in other systems: `{system: its code}`."""
    view = await changing.change_external_codes(
        session, code, codes, if_match, actor_id=caller.id, at=resources.clock.now()
    )
    return written(view)
