"""What is added to a report later."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from app.accounts.caller import Caller
from app.accounts.dependencies import IdentifiedRoute, require
from app.accounts.permissions import Permission
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
from app.incidents import errors
from app.incidents.dependencies import answer, parsed
from app.incidents.receiving import Receiving
from app.incidents.schemas import IncidentReceipt, NewSupplement
from app.incidents.supplementing import Prepared, check_may_supplement, supplement
from app.media.bodies import digested
from app.media.errors import BODY_REFUSALS

router = APIRouter(tags=["incidents"], route_class=IdentifiedRoute)

Mover = Annotated[Caller, Depends(require(Permission.MOVE_INCIDENTS))]

_REFERENCE = {"$ref": "#/components/schemas/NewSupplement"}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _REFERENCE},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["meta"],
                    "properties": {"meta": _REFERENCE},
                    "additionalProperties": {"type": "string", "format": "binary"},
                },
                "encoding": {"meta": {"contentType": "application/json"}},
            },
        },
    },
    "x-schemas": schemas_of(NewSupplement),
}


@router.post(
    "/incidents/{incident_id}/supplements",
    status_code=201,
    response_model=IncidentReceipt,
    openapi_extra=_BODY,
    responses={
        200: {"model": IncidentReceipt, "description": "A repeat of a supplement known already"},
        **problems(
            Unauthenticated,
            Forbidden,
            errors.IncidentNotFound,
            errors.ActionForbidden,
            errors.ActionNotAllowed,
            MalformedJson,
            PayloadTooLarge,
            UnsupportedMediaType,
            *BODY_REFUSALS,
            ValidationFailed,
            errors.IncidentIdInvalid,
            errors.AttachmentNotListed,
            errors.AttachmentRepeated,
            errors.IncidentFull,
            errors.IdempotencyKeyReused,
            Unavailable,
            InsufficientStorage,
        ),
    },
)
async def supplement_incident(
    incident_id: UUID, request: Request, resources: TheResources, caller: Mover
) -> Response:
    """Add text and files to an open matter; its id makes a repeat harmless.

    Files may come in the same multipart body or later, as with a report.
    """
    async with resources.sessions.read() as session:
        sealed = await check_may_supplement(session, caller, incident_id)

    async def read_meta(raw: bytes) -> Prepared:
        return Prepared(parsed(NewSupplement, raw), sealed)

    receiving = Receiving(resources)
    stream = digested(request.stream(), request.headers.get("content-digest"))
    prepared = await receiving.read(request.headers, stream, read_meta)
    settled = await supplement(resources, caller, incident_id, prepared.new, receiving)
    return answer(settled.receipt, replayed=settled.replayed)
