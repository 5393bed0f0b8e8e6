"""/areas: the division tree, the grid of a point, the import."""

import asyncio
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app.accounts.caller import Caller
from app.accounts.dependencies import require
from app.accounts.permissions import Permission
from app.areas import queries
from app.areas.csv_rows import AreaCode
from app.areas.datum import Datum, to_wgs84
from app.areas.errors import AreaImportNotFound, AreaNotFound
from app.areas.jobs import LEASE, AreaImports, Submitted
from app.areas.locate import current_map
from app.areas.models import Area
from app.areas.schemas import (
    IMPORT_BYTES,
    AreaDetail,
    AreaFilters,
    AreaImportView,
    AreaView,
    ImportAreas,
    LocatedView,
)
from app.core.errors import (
    CursorInvalid,
    Forbidden,
    MalformedJson,
    PayloadTooLarge,
    TooManyRequests,
    Unauthenticated,
    UnsupportedMediaType,
    ValidationFailed,
)
from app.core.fields import Instant, Lat, Lon
from app.core.http import Reading, TheResources, problems
from app.core.packing import demand_plain
from app.core.paging import Cursors, Page

router = APIRouter(prefix="/areas", tags=["areas"])

Reader = Annotated[Caller, Depends(require(Permission.READ_AREAS))]
Manager = Annotated[Caller, Depends(require(Permission.MANAGE_AREAS))]
_ALWAYS = (Unauthenticated, Forbidden, ValidationFailed)


@router.get("", responses=problems(*_ALWAYS, CursorInvalid))
async def list_areas(
    request: Request,
    response: Response,
    resources: TheResources,
    session: Reading,
    _: Reader,
    asked: Annotated[AreaFilters, Query()],
) -> Page[AreaView]:
    """Current areas in order of code; `q` is part of a name or the beginning of a code."""
    cursors = Cursors(resources.keys, f"areas:{asked.parent}:{asked.level}:{asked.q}")
    position = cursors.read(asked.cursor)
    after = None if position is None else str(position[0])
    rows = await queries.areas_after(
        session, after, asked.limit, parent=asked.parent, level=asked.level, q=asked.q
    )
    cut = cursors.cut(rows, asked.limit, lambda area: [area.code])
    return _page(request, response, cut, asked.datum)


def _page(
    request: Request, response: Response, cut: tuple[Sequence[Area], str | None], datum: Datum
) -> Page[AreaView]:
    areas, cursor = cut
    if cursor is not None:
        query = urlencode({**request.query_params, "cursor": cursor})
        response.headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
    return Page[AreaView](items=[AreaView.of(area, datum) for area in areas], next=cursor)


# before /{code}: the first route that matches answers
@router.get("/locate", responses=problems(*_ALWAYS))
async def locate_point(
    resources: TheResources,
    _: Reader,
    lon: Lon,
    lat: Lat,
    datum: Datum = "wgs84",
    accuracy_m: Annotated[float | None, Query(ge=0, le=1_000_000, allow_inf_nan=False)] = None,
) -> LocatedView:
    """The grid of a point and what it belongs to, or the grids that come into question."""
    areas = await current_map(resources)
    point = to_wgs84(lon, lat, datum)
    return LocatedView.of(areas, point, areas.grid_at(*point, accuracy_m))


@router.post(
    "/import",
    status_code=202,
    responses=problems(
        *_ALWAYS, MalformedJson, PayloadTooLarge, UnsupportedMediaType, TooManyRequests
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": ImportAreas.model_json_schema()},
                "text/csv": {"schema": {"type": "string", "maxLength": IMPORT_BYTES}},
            },
        }
    },
)
async def import_areas(
    request: Request, response: Response, resources: TheResources, caller: Manager
) -> AreaImportView:
    """Begin an import of at most 16 MiB and answer at once; `Location` tells how far it is."""
    submitted = await _submitted(request, caller)
    import_id = await resources.the(AreaImports).start(submitted)
    response.headers["Location"] = f"{request.url.path}/{import_id}"
    return await _import_view(resources, import_id)


@router.get("/import/{import_id}", responses=problems(*_ALWAYS, AreaImportNotFound))
async def get_area_import(resources: TheResources, _: Manager, import_id: UUID) -> AreaImportView:
    """How far an import is, and at its end what it found and did."""
    return await _import_view(resources, import_id)


@router.get("/{code}", response_model=AreaDetail, responses=problems(*_ALWAYS, AreaNotFound))
async def get_area(
    response: Response,
    session: Reading,
    _: Reader,
    code: AreaCode,
    at: Instant | None = None,
    datum: Datum = "wgs84",
    if_none_match: Annotated[str | None, Header(max_length=1024)] = None,
) -> AreaDetail | Response:
    """An area with its polygon; `at`: the version that held at that instant."""
    area = await queries.area_by_code(session, code, at)
    etag = f'"{area.id}{"-ended" if area.valid_to else ""}-{datum}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if if_none_match is not None and etag in if_none_match:
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return AreaDetail.of(area, datum)


async def _import_view(resources: TheResources, import_id: UUID) -> AreaImportView:
    async with resources.sessions.read() as session:
        found = await queries.import_by_id(session, import_id)
        return AreaImportView.of(found, resources.clock.now(), LEASE)


async def _submitted(request: Request, caller: Caller) -> Submitted:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    demand_plain(request.headers.get("content-encoding"))
    if kind == "text/csv":
        return Submitted(await _body(request), by=caller.id)
    if kind != "application/json":
        raise UnsupportedMediaType(supported=["application/json", "text/csv"])
    body = await _body(request)
    try:
        # megabytes of JSON: not on the event loop
        command = await asyncio.to_thread(ImportAreas.model_validate_json, body)
    except ValidationError as invalid:
        raise RequestValidationError(
            [{**found, "loc": ("body", *found["loc"])} for found in invalid.errors()]
        ) from invalid
    return Submitted(command.csv, command.geometries, by=caller.id)


async def _body(request: Request) -> bytes:
    """The body, counted as it arrives: a length can be missing or a lie."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > IMPORT_BYTES:
        raise PayloadTooLarge(limit=IMPORT_BYTES)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > IMPORT_BYTES:
            raise PayloadTooLarge(limit=IMPORT_BYTES)
    return bytes(body)
