"""The custody of files: what evidence has to say for itself."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from app.accounts.caller import Caller
from app.accounts.dependencies import IdentifiedRoute, require
from app.accounts.permissions import Permission
from app.areas.datum import Datum
from app.core.errors import Forbidden, Unauthenticated, ValidationFailed
from app.core.http import Reading, TheResources, problems
from app.incidents import errors
from app.incidents.attachment_schemas import CustodyView
from app.incidents.custody import custody

router = APIRouter(prefix="/incidents", tags=["incidents"], route_class=IdentifiedRoute)

Reader = Annotated[Caller, Depends(require(Permission.READ_INCIDENTS))]


@router.get(
    "/{incident_id}/attachments/{attachment_id}/custody",
    responses=problems(
        Unauthenticated,
        Forbidden,
        errors.IncidentNotFound,
        errors.AttachmentNotFound,
        errors.ActionForbidden,
        ValidationFailed,
    ),
)
async def read_custody(
    incident_id: UUID,
    attachment_id: UUID,
    session: Reading,
    resources: TheResources,
    caller: Reader,
    datum: Datum = "wgs84",
) -> CustodyView:
    """From capture to now: hashes, times by every clock, who sent it, each re-reading."""
    now = resources.clock.now()
    return await custody(session, caller, incident_id, attachment_id, datum=datum, now=now)
