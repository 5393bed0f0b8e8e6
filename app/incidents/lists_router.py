"""Lists of incidents, their counts, the queues of a desk, and short exports."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.background import BackgroundTask

from app.accounts.caller import Caller
from app.accounts.dependencies import IdentifiedRoute, require
from app.accounts.permissions import Permission
from app.core.audit import note
from app.core.errors import CursorInvalid, Forbidden, Unauthenticated, ValidationFailed
from app.core.http import Reading, TheResources, problems
from app.core.paging import DEFAULT_LIMIT, Cursors, Page
from app.core.resources import Resources
from app.incidents import exporting
from app.incidents.dependencies import asking_of, link_next, looking_of
from app.incidents.errors import ExportTooLong
from app.incidents.list_schemas import CountView, Filters, ListQuery, QueueView
from app.incidents.queries import MOST_COUNTED, counted, page, queues_of
from app.incidents.schemas import IncidentView
from app.incidents.sorting import position
from app.incidents.views import show

router = APIRouter(prefix="/incidents", tags=["incidents"], route_class=IdentifiedRoute)

Reader = Annotated[Caller, Depends(require(Permission.READ_INCIDENTS))]
Wanted = Annotated[Filters, Query()]

_ALWAYS = (Unauthenticated, Forbidden, ValidationFailed)


@router.get("", responses=problems(*_ALWAYS, CursorInvalid))
async def list_incidents(
    request: Request,
    response: Response,
    session: Reading,
    resources: TheResources,
    caller: Reader,
    wanted: Annotated[ListQuery, Query()],
) -> Page[IncidentView]:
    """Incidents in the caller's scope, newest first; pages are stable while new ones come in."""
    question = wanted.model_copy(update={"cursor": None, "limit": DEFAULT_LIMIT})
    cursors = Cursors(resources.keys, f"incidents:{caller.id}:{question.model_dump_json()}")
    asking = await asking_of(resources, caller)
    rows = await page(session, asking, wanted, cursors.read(wanted.cursor))
    found, following = cursors.cut(rows, wanted.limit, lambda row: position(row[1:]))
    link_next(request, response, following)
    looking = looking_of(resources, caller, wanted.datum)
    return Page(items=await show(session, [row[0] for row in found], looking), next=following)


@router.get("/count", responses=problems(*_ALWAYS))
async def count_incidents(
    session: Reading, resources: TheResources, caller: Reader, wanted: Wanted
) -> CountView:
    """How many a list with these filters holds: exact to 10,000, then `more`."""
    count, more = await counted(session, await asking_of(resources, caller), wanted)
    return CountView(count=count, more=more)


@router.get("/queues", responses=problems(*_ALWAYS))
async def list_queues(session: Reading, resources: TheResources, caller: Reader) -> Page[QueueView]:
    """What waits for the caller's own desk, stage by stage; `queue` of the list shows which."""
    counts = await queues_of(session, await asking_of(resources, caller))
    return Page(items=[QueueView(queue=q, count=count, more=more) for q, count, more in counts])


@router.get(
    "/export.csv",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "UTF-8 with a BOM, as spreadsheets want it",
            "content": {"text/csv": {"schema": {"type": "string"}}},
        },
        **problems(*_ALWAYS, ExportTooLong),
    },
)
async def export_incidents_as_csv(
    resources: TheResources, caller: Reader, wanted: Wanted
) -> Response:
    """The list with these filters, to 10,000 lines; longer ones are asked for by POST."""
    rows = await _short(resources, caller, wanted, "csv")
    headers = {"Content-Disposition": 'attachment; filename="incidents.csv"'}
    return StreamingResponse(exporting.csv_lines(rows), 200, headers, "text/csv; charset=utf-8")


@router.get(
    "/export.xlsx",
    response_class=FileResponse,
    responses={
        200: {
            "description": "A workbook",
            "content": {exporting.XLSX: {"schema": {"type": "string", "format": "binary"}}},
        },
        **problems(*_ALWAYS, ExportTooLong),
    },
)
async def export_incidents_as_xlsx(
    resources: TheResources, caller: Reader, wanted: Wanted
) -> Response:
    """The same as a workbook."""
    rows = await _short(resources, caller, wanted, "xlsx")
    made = await exporting.written(rows, "xlsx")
    done = BackgroundTask(made.unlink, missing_ok=True)
    return FileResponse(made, media_type=exporting.XLSX, filename="incidents.xlsx", background=done)


async def _short(
    resources: Resources, caller: Caller, wanted: Filters, form: exporting.Format
) -> exporting.Rows:
    """The rows, after the trail has got its line. Raises ExportTooLong."""
    asking = await asking_of(resources, caller)
    async with resources.sessions.begin() as session:
        count, more = await counted(session, asking, wanted)
        if more:
            raise ExportTooLong(limit=MOST_COUNTED)
        await note(
            session,
            at=asking.now,
            actor_id=caller.id,
            action="incidents.exported",
            target=("person", caller.id),
            format=form,
            filters=wanted.model_dump(mode="json", exclude_defaults=True, exclude={"q"}),
            count=count,
        )
    return exporting.rows(resources, asking, wanted, MOST_COUNTED)
