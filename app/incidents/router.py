"""Reading incidents and moving them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.accounts.dependencies import IdentifiedRoute, etag, require, revision_of
from app.accounts.permissions import Permission
from app.areas.datum import Datum
from app.core.errors import (
    CursorInvalid,
    Forbidden,
    RevisionRequired,
    RevisionStale,
    Unauthenticated,
    ValidationFailed,
)
from app.core.http import Reading, TheResources, Transaction, problems
from app.core.paging import DEFAULT_LIMIT, MAX_LIMIT, Cursors, Page
from app.deadlines.limits import current_deadlines
from app.incidents import errors
from app.incidents.attachments import Looking
from app.incidents.commands import TransitionCommand
from app.incidents.dependencies import link_next, looking_of
from app.incidents.handling import move
from app.incidents.models import Incident
from app.incidents.queries import history_of, visible_incident
from app.incidents.schemas import (
    HistoryView,
    IncidentReceipt,
    IncidentView,
)
from app.incidents.views import receipt, show, show_history

router = APIRouter(prefix="/incidents", tags=["incidents"], route_class=IdentifiedRoute)

Reader = Annotated[Caller, Depends(require(Permission.READ_INCIDENTS))]
Mover = Annotated[Caller, Depends(require(Permission.MOVE_INCIDENTS))]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
Cursor = Annotated[str | None, Query(max_length=1024)]


@router.get(
    "/{incident_id}",
    responses=problems(Unauthenticated, Forbidden, errors.IncidentNotFound, ValidationFailed),
)
async def read_incident(
    incident_id: UUID,
    response: Response,
    session: Reading,
    resources: TheResources,
    caller: Reader,
    datum: Datum = "wgs84",
) -> IncidentView:
    """The whole incident, what the caller may do with it, and links to its files."""
    incident = await _visible(session, caller, incident_id)
    return await _shown(session, incident, response, looking_of(resources, caller, datum))


@router.get(
    "/{incident_id}/receipt",
    responses=problems(Unauthenticated, Forbidden, errors.IncidentNotFound),
)
async def read_receipt(incident_id: UUID, session: Reading, caller: Reader) -> IncidentReceipt:
    """What the phone asks before it sends again: 404 means it never arrived."""
    return await receipt(session, await _visible(session, caller, incident_id))


@router.get(
    "/{incident_id}/history",
    responses=problems(Unauthenticated, Forbidden, errors.IncidentNotFound, CursorInvalid),
)
async def list_history(
    incident_id: UUID,
    request: Request,
    response: Response,
    session: Reading,
    resources: TheResources,
    caller: Reader,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[HistoryView]:
    """Everything that happened, in order, with the chain's hashes."""
    incident = await _visible(session, caller, incident_id)
    cursors = Cursors(resources.keys, f"history:{incident_id}")
    after = cursors.read(cursor)
    rows = await history_of(session, incident_id, after[0] if after else 0, limit)
    found, following = cursors.cut(rows, limit, lambda entry: [entry.seq])
    link_next(request, response, following)
    looking = looking_of(resources, caller, "wgs84")
    return Page(items=await show_history(session, incident, found, looking), next=following)


@router.post(
    "/{incident_id}/transitions",
    responses=problems(
        Unauthenticated,
        Forbidden,
        errors.IncidentNotFound,
        errors.ActionForbidden,
        RevisionRequired,
        RevisionStale,
        errors.ActionNotAllowed,
        errors.NoSuperior,
        errors.FieldRequired,
        errors.UnitNotEligible,
        errors.EvidenceRequired,
        errors.UrgedAlready,
        errors.IncidentNotEligible,
        errors.ExtensionTooLong,
        errors.ReviewDateInvalid,
        errors.LevelInvalid,
        errors.LevelNotHigher,
        errors.AttachmentNotFound,
        ValidationFailed,
    ),
)
async def move_incident(
    incident_id: UUID,
    command: TransitionCommand,
    response: Response,
    session: Transaction,
    resources: TheResources,
    caller: Mover,
    if_match: Annotated[str | None, Header(max_length=40)] = None,
) -> IncidentView:
    """One transition of the table; the answer is the incident as it stands afterwards."""
    if command.revision is None and if_match is not None:
        command = command.model_copy(update={"revision": revision_of(if_match)})
    looking = looking_of(resources, caller, "wgs84")
    deadlines = await current_deadlines(resources)
    try:
        incident = await move(session, caller, incident_id, command, deadlines, looking.now)
    except RevisionStale:
        incident = await _visible(session, caller, incident_id)
        (current,) = await show(session, [incident], looking)
        raise RevisionStale.over(
            current,
            etag(incident.revision),
            revision=incident.revision,
            state=incident.state,
        ) from None
    return await _shown(session, incident, response, looking)


async def _visible(session: AsyncSession, caller: Caller, incident_id: UUID) -> Incident:
    incident = await visible_incident(session, caller, incident_id)
    if incident is None:
        raise errors.IncidentNotFound
    return incident


async def _shown(
    session: AsyncSession, incident: Incident, response: Response, looking: Looking
) -> IncidentView:
    response.headers["ETag"] = etag(incident.revision)
    return (await show(session, [incident], looking))[0]
