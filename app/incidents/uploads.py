"""Resumable uploads at /v1/uploads: tus 1.0.0 over `media.resumable`, for files of incidents."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.accounts.caller import Caller
from app.accounts.dependencies import IdentifiedRoute, require
from app.accounts.permissions import Permission
from app.core.errors import (
    ContentEncodingRefused,
    Forbidden,
    InsufficientStorage,
    MethodNotAllowed,
    Problem,
    SenderSilent,
    Unauthenticated,
    Unavailable,
)
from app.core.fields import Code
from app.core.http import TheResources, problems
from app.core.packing import demand_plain
from app.core.resources import Resources
from app.incidents import errors
from app.incidents.adopting import adopt_upload
from app.incidents.bringing import promised
from app.incidents.upload_work import (
    Chunk,
    as_saved,
    bring,
    check_room,
    facts_of,
    progress,
    working,
)
from app.media import tus
from app.media.errors import (
    AttachmentsDiffer,
    DigestMismatch,
    FileStoreUnavailable,
    MediaTypeRefused,
)
from app.media.holding import find
from app.media.opening import NewUpload, end_upload, open_upload
from app.media.upload_errors import (
    CHUNK_REFUSALS,
    UPLOAD_REFUSALS,
    OffsetDiffers,
    TooManyUploads,
    TusVersionUnsupported,
    UploadAttached,
    UploadBusy,
    UploadDiffers,
    UploadLengthInvalid,
    UploadLost,
    UploadMetadataInvalid,
)

router = APIRouter(prefix="/uploads", tags=["uploads"], route_class=IdentifiedRoute)

Mover = Annotated[Caller, Depends(require(Permission.MOVE_INCIDENTS))]

_DOOR = (Unauthenticated, Forbidden, ContentEncodingRefused)
_STORE = (FileStoreUnavailable, Unavailable, InsufficientStorage)
_END = (
    AttachmentsDiffer,
    DigestMismatch,
    MediaTypeRefused,
    errors.ActionForbidden,
    errors.ActionNotAllowed,
    errors.AttachmentImmutable,
    errors.AttachmentNotFound,
    errors.IncidentFull,
    errors.IncidentNotFound,
)
"""What a file may be refused for when it is begun, and again when it is whole."""
_CHUNK: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {tus.OFFSET_STREAM: {"schema": {"type": "string", "format": "binary"}}},
    }
}


def _distinct(*classes: type[Problem]) -> Sequence[type[Problem]]:
    return tuple(dict.fromkeys(classes))


_CHUNK_ANSWERS = problems(
    *_distinct(*_DOOR, *UPLOAD_REFUSALS, *CHUNK_REFUSALS, *_END, *_STORE, SenderSilent)
)


@router.options("", include_in_schema=False)
@router.options("/{upload_id}", include_in_schema=False)
async def show_upload_abilities(resources: TheResources) -> Response:
    """What of tus is spoken here."""
    return Response(status_code=204, headers=tus.capabilities(resources.settings.uploads))


@router.post(
    "",
    status_code=201,
    response_class=Response,
    responses=problems(
        *_distinct(
            *_DOOR,
            TusVersionUnsupported,
            UploadLengthInvalid,
            UploadMetadataInvalid,
            UploadDiffers,
            TooManyUploads,
            *CHUNK_REFUSALS,
            UploadBusy,
            *_END,
            *_STORE,
            SenderSilent,
        )
    ),
)
async def create_upload(request: Request, resources: TheResources, caller: Mover) -> Response:
    """Begin an upload, or find the one that was begun for this attachment before."""
    demand_plain(request.headers.get("content-encoding"))
    tus.check_version(request.headers)
    limits = resources.settings.uploads
    length = tus.length_of(request.headers, limits)
    claims = tus.claims_of(request.headers.get("upload-metadata"), limits)
    with_upload = tus.is_offset_stream(request.headers)
    async with resources.sessions.read() as session:
        promise = await promised(session, caller, claims, length, resources.settings.intake)
    check_room(resources)
    new = NewUpload(
        owner_id=caller.id,
        device=caller.terminal_id or str(caller.id),
        length=length,
        claims=claims,
        kind=promise.kind,
        sha256=promise.sha256,
        session_id=caller.session_id,
        awaited=promise.awaited,
    )
    upload = await open_upload(resources, new)
    location = {"Location": f"/v1/uploads/{upload.id}"}
    if with_upload and upload.received == 0 and upload.state == "receiving":
        async with working(resources, upload.id, location) as hold:
            if hold.upload.received == 0:
                await bring(resources, hold, Chunk(caller, request.headers, request.stream()))
            upload = hold.upload
    else:
        upload = await as_saved(resources, caller, upload)
        await adopt_upload(resources, upload)
    return Response(status_code=201, headers=location | progress(upload))


@router.head(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    responses=problems(*_DOOR, *UPLOAD_REFUSALS, UploadLost, Unavailable),
)
async def examine_upload(
    upload_id: Code, request: Request, resources: TheResources, caller: Mover
) -> Response:
    """How far it has come. Whoever still sends to it has to save and end."""
    tus.check_version(request.headers)
    upload = await find(resources, upload_id, caller.id)
    upload = await as_saved(resources, caller, upload)
    return Response(status_code=204, headers=progress(upload) | facts_of(upload))


@router.patch(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    openapi_extra=_CHUNK,
    responses=_CHUNK_ANSWERS,
)
async def append_upload(
    upload_id: Code, request: Request, resources: TheResources, caller: Mover
) -> Response:
    """The next bytes. When they are the last, the answer says what became of the file."""
    return await _append(upload_id, request, resources, caller)


@router.delete(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    responses=problems(*_DOOR, *UPLOAD_REFUSALS, UploadLost, UploadAttached, Unavailable),
)
async def withdraw_upload(
    upload_id: Code, request: Request, resources: TheResources, caller: Mover
) -> Response:
    """End an upload and forget its bytes; not once the file belongs to an incident."""
    return await _withdraw(upload_id, request, resources, caller)


@router.post(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    openapi_extra=_CHUNK,
    responses=problems(
        *_distinct(
            *_DOOR,
            *UPLOAD_REFUSALS,
            *CHUNK_REFUSALS,
            *_END,
            *_STORE,
            SenderSilent,
            UploadAttached,
            MethodNotAllowed,
        )
    ),
)
async def change_upload(
    upload_id: Code, request: Request, resources: TheResources, caller: Mover
) -> Response:
    """PATCH or DELETE by `X-HTTP-Method-Override`, for clients that can send neither."""
    demand_plain(request.headers.get("content-encoding"))
    meant = request.headers.get("x-http-method-override", "").upper()
    if meant == "PATCH":
        return await _append(upload_id, request, resources, caller)
    if meant == "DELETE":
        return await _withdraw(upload_id, request, resources, caller)
    raise MethodNotAllowed(headers={"Allow": "DELETE, HEAD, OPTIONS, PATCH"})


async def _append(
    upload_id: Code, request: Request, resources: Resources, caller: Caller
) -> Response:
    """Everything is checked before the first byte is read (U3)."""
    demand_plain(request.headers.get("content-encoding"))
    tus.check_version(request.headers)
    tus.check_stream(request.headers)
    await find(resources, upload_id, caller.id)
    async with working(resources, upload_id) as hold:
        if tus.offset_of(request.headers) != hold.upload.received:
            raise OffsetDiffers
        await bring(resources, hold, Chunk(caller, request.headers, request.stream()))
        return Response(status_code=204, headers=progress(hold.upload))


async def _withdraw(
    upload_id: Code, request: Request, resources: Resources, caller: Caller
) -> Response:
    tus.check_version(request.headers)
    await find(resources, upload_id, caller.id)
    await end_upload(resources, upload_id)
    return Response(status_code=204)
