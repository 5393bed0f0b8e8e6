"""Intake: reports with or without their files, and files that come later."""

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from app.accounts.caller import Caller
from app.accounts.dependencies import IdentifiedRoute, require
from app.accounts.permissions import Permission
from app.categories.errors import CategoryUnknown
from app.core.db import new_id
from app.core.disk import RETRY_AFTER_S
from app.core.errors import (
    Forbidden,
    InsufficientStorage,
    MalformedJson,
    PayloadTooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
)
from app.core.fields import schemas_of
from app.core.http import TheResources, problems
from app.core.object_store import StoreFull, StoreUnavailable
from app.core.packing import demand_plain
from app.core.resources import Resources
from app.incidents import completing, errors
from app.incidents.dependencies import answer, instant, parsed
from app.incidents.preparing import Prepared, prepare
from app.incidents.queries import incident_by_id
from app.incidents.receiving import Receiving
from app.incidents.reporting import UNNAMED, Received
from app.incidents.schemas import ClientId, IncidentReceipt, NewIncident
from app.incidents.settling import settle
from app.incidents.views import receipt
from app.media.bodies import digested
from app.media.errors import BODY_REFUSALS, STREAM_REFUSALS, AttachmentsDiffer
from app.media.filenames import cleaned
from app.media.storing import Expected, FileDiffers, remove, store

router = APIRouter(tags=["incidents"], route_class=IdentifiedRoute)

Reporter = Annotated[Caller, Depends(require(Permission.REPORT))]
Mover = Annotated[Caller, Depends(require(Permission.MOVE_INCIDENTS))]

_REFERENCE = "#/components/schemas/NewIncident"
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": _REFERENCE}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["meta"],
                    "properties": {"meta": {"$ref": _REFERENCE}},
                    "additionalProperties": {"type": "string", "format": "binary"},
                    "description": "First part `meta`; then one file a part, named by its id.",
                },
                "encoding": {"meta": {"contentType": "application/json"}},
            },
        },
    },
    "x-schemas": schemas_of(NewIncident),
}


@router.post(
    "/incidents",
    status_code=201,
    response_model=IncidentReceipt,
    openapi_extra=_BODY,
    responses={
        200: {"model": IncidentReceipt, "description": "A repeat: the first receipt again"},
        **problems(
            Unauthenticated,
            Forbidden,
            MalformedJson,
            PayloadTooLarge,
            UnsupportedMediaType,
            *BODY_REFUSALS,
            ValidationFailed,
            CategoryUnknown,
            errors.PlaceUnknown,
            errors.ReporterUnknown,
            errors.AttachmentNotListed,
            errors.AttachmentRepeated,
            errors.IncidentIdInvalid,
            errors.IdempotencyKeyMismatch,
            errors.IdempotencyKeyReused,
            errors.IncidentDeleted,
            Unavailable,
            InsufficientStorage,
        ),
    },
)
async def report_incident(
    request: Request,
    resources: TheResources,
    caller: Reporter,
    idempotency_key: Annotated[str | None, Header(max_length=100)] = None,
    client_time: Annotated[str | None, Header(max_length=40)] = None,
) -> Response:
    """Report a matter; repeat it unchanged as often as needed, the receipt stays the same.

    A 201 or 200 means: text and manifest are on disk. `complete` says whether every file is.
    """

    async def read_meta(raw: bytes) -> Prepared:
        new = parsed(NewIncident, raw)
        _check_key(idempotency_key, new.id)
        return await prepare(resources, caller, new)

    receiving = Receiving(resources)
    stream = digested(request.stream(), request.headers.get("content-digest"))
    prepared = await receiving.read(request.headers, stream, read_meta)
    settled = await settle(resources, caller, prepared, receiving, instant(client_time))
    return answer(settled.receipt, replayed=settled.replayed)


@router.put(
    "/incidents/{incident_id}/attachments/{attachment_id}",
    status_code=201,
    response_model=IncidentReceipt,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    },
    responses={
        200: {"model": IncidentReceipt, "description": "The same bytes were stored before"},
        **problems(
            Unauthenticated,
            Forbidden,
            errors.IncidentNotFound,
            errors.AttachmentNotFound,
            errors.ActionForbidden,
            errors.ActionNotAllowed,
            errors.AttachmentImmutable,
            errors.IncidentFull,
            *STREAM_REFUSALS,
            AttachmentsDiffer,
            ValidationFailed,
            Unavailable,
            InsufficientStorage,
        ),
    },
)
async def put_attachment(
    incident_id: UUID,
    attachment_id: ClientId,
    request: Request,
    resources: TheResources,
    caller: Mover,
    name: Annotated[str, Query(min_length=1, max_length=200)] = UNNAMED,
    content_digest: Annotated[str | None, Header(max_length=300)] = None,
) -> Response:
    """The raw bytes of one file: of the manifest, or new evidence of somebody involved."""
    demand_plain(request.headers.get("content-encoding"))
    async with resources.sessions.read() as session:
        limits = resources.settings.intake
        place = await completing.find_place(session, caller, incident_id, attachment_id, limits)
    stream = digested(request.stream(), content_digest)
    link = place.link
    if link is not None and link.state == "stored":
        await _check_same(resources, stream, link.media_id)
        return answer(await _shown(resources, incident_id), replayed=True)
    expected = (
        Expected(
            link.kind,  # type: ignore[arg-type]  # stored as the Literal it was checked to be
            link.size,
            link.sha256.hex() if link.sha256 else None,
            place.sealed,
        )
        if link
        else Expected(sealed=place.sealed)
    )
    try:
        stored = await store(resources, stream, expected)
    except FileDiffers as differs:
        raise AttachmentsDiffer(attachments=[str(attachment_id)]) from differs
    except StoreFull as full:
        raise InsufficientStorage(headers={"Retry-After": RETRY_AFTER_S}) from full
    except StoreUnavailable as down:
        raise Unavailable(headers={"Retry-After": "5"}) from down
    received = Received(new_id(), stored, cleaned(name))
    return await _settle_file(resources, caller, place, received)


_TOO_LATE = (
    errors.ActionForbidden,
    errors.ActionNotAllowed,
    errors.AttachmentImmutable,
    errors.IncidentFull,
)
"""What may have become true while the bytes came."""


async def _settle_file(
    resources: Resources, caller: Caller, place: completing.Place, received: Received
) -> Response:
    at = resources.clock.now()
    try:
        async with resources.sessions.begin() as session:
            limits = resources.settings.intake
            incident = await completing.take_in(session, caller, place, received, at, limits)
            shown = await receipt(session, incident)
    except (completing.AttachmentThere, *_TOO_LATE) as faster:
        await remove(resources, [received.stored.object_key])
        if isinstance(faster, _TOO_LATE):
            raise
        return answer(await _shown(resources, place.incident_id), replayed=True)
    return answer(shown, replayed=False)


def _check_key(key: str | None, incident_id: UUID) -> None:
    """The key of this operation is the incident's id itself; a header must say the same (I2)."""
    if key is not None and key.strip().strip('"').lower() != str(incident_id):
        raise errors.IdempotencyKeyMismatch


async def _check_same(
    resources: Resources, stream: AsyncIterator[bytes], media_id: UUID | None
) -> None:
    """Raises AttachmentImmutable unless the stream is the stored file's bytes again."""
    digest = hashlib.sha256()
    async for chunk in stream:
        digest.update(chunk)
    async with resources.sessions.read() as session:
        known = await completing.stored_digest(session, media_id)
    if known != digest.digest():
        raise errors.AttachmentImmutable


async def _shown(resources: Resources, incident_id: UUID) -> IncidentReceipt:
    async with resources.sessions.read() as session:
        incident = await incident_by_id(session, incident_id)
        if incident is None:
            raise errors.IncidentNotFound
        return await receipt(session, incident)
