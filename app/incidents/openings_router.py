"""Reading what is told to few: with a reason; and who did."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from app.accounts.caller import Caller
from app.accounts.dependencies import IdentifiedRoute, ThePages, require
from app.accounts.permissions import Permission
from app.core.errors import CursorInvalid, Forbidden, Unauthenticated, ValidationFailed
from app.core.http import Reading, TheResources, Transaction, problems
from app.core.paging import Page
from app.incidents import errors
from app.incidents.models import Incident
from app.incidents.opening_models import Opening
from app.incidents.opening_schemas import (
    BrokenGlass,
    ClearanceView,
    ClearedPeople,
    OpeningPerson,
    OpeningReason,
    OpeningView,
    PeopleView,
)
from app.incidents.openings import (
    break_glass,
    clearances_of,
    open_content,
    open_people,
    openings_of,
    responsible_for,
    set_clearances,
)
from app.incidents.privacy import clear
from app.incidents.secrecy import opened_text
from app.incidents.visibility import knows_reporter

router = APIRouter(prefix="/incidents", tags=["sealed"], route_class=IdentifiedRoute)

Mover = Annotated[Caller, Depends(require(Permission.MOVE_INCIDENTS))]
Overseer = Annotated[Caller, Depends(require(Permission.OVERSEE_SEALED))]
Breaker = Annotated[Caller, Depends(require(Permission.BREAK_GLASS))]
_DOOR = (Unauthenticated, Forbidden, ValidationFailed, errors.IncidentNotFound)


@router.post(
    "/{incident_id}/openings", status_code=201, responses=problems(*_DOOR, errors.NotSealed)
)
async def open_sealed_incident(
    incident_id: UUID,
    wanted: OpeningReason,
    session: Transaction,
    resources: TheResources,
    caller: Mover,
) -> OpeningView:
    """Read what a sealed matter says: from now until `until` it is shown to you, in full."""
    now = resources.clock.now()
    return _view(await open_content(session, caller, incident_id, wanted.reason, now), wanted)


@router.post("/break-glass", status_code=201, responses=problems(*_DOOR))
async def break_glass_of_sealed_incident(
    wanted: BrokenGlass, session: Transaction, resources: TheResources, caller: Breaker
) -> OpeningView:
    """A sealed matter that was not given to you, below your centre; its unit is told at once."""
    now = resources.clock.now()
    return _view(await break_glass(session, caller, wanted.number, wanted.reason, now), wanted)


@router.get(
    "/{incident_id}/openings",
    responses=problems(*_DOOR, errors.ActionForbidden, CursorInvalid),
)
async def list_openings(
    incident_id: UUID,
    session: Reading,
    resources: TheResources,
    pages: ThePages,
    caller: Overseer,
) -> Page[OpeningView]:
    """Who read it and why, newest first; for the centres above its place."""
    incident = await responsible_for(session, caller, incident_id)
    after = pages.position(f"openings:{caller.id}:{incident_id}")
    rows = await openings_of(session, incident, UUID(after[0]) if after else None, pages.fetch)
    found, following = pages.cut(rows, lambda row: [str(row.id)])
    shown = [
        _view(row, OpeningReason(reason=opened_text(resources.keys, incident, row.reason)))
        for row in found
    ]
    return Page(items=shown, next=following)


@router.get("/{incident_id}/clearances", responses=problems(*_DOOR, errors.ActionForbidden))
async def list_clearances(
    incident_id: UUID, session: Reading, caller: Overseer
) -> Page[ClearanceView]:
    """The handlers who may know of it, where not everybody of the unit may."""
    incident = await responsible_for(session, caller, incident_id)
    return await _clearances(session, incident)


@router.post(
    "/{incident_id}/clearances",
    responses=problems(*_DOOR, errors.ActionForbidden, errors.NotSealed, errors.PersonNotEligible),
)
async def replace_clearances(
    incident_id: UUID,
    wanted: ClearedPeople,
    session: Transaction,
    resources: TheResources,
    caller: Overseer,
) -> Page[ClearanceView]:
    """Say which handlers may know of it; an empty list is everybody of the unit again."""
    now = resources.clock.now()
    incident = await set_clearances(session, caller, incident_id, wanted.people, now)
    return await _clearances(session, incident)


@router.post("/{incident_id}/people", responses=problems(*_DOOR, errors.ActionForbidden))
async def open_people_of_incident(
    incident_id: UUID,
    wanted: OpeningReason,
    session: Transaction,
    resources: TheResources,
    caller: Mover,
) -> PeopleView:
    """Raiser and parties in clear, for who works on the matter; with a reason, and noted."""
    now = resources.clock.now()
    incident = await open_people(session, caller, incident_id, wanted.reason, now)
    known = knows_reporter(caller, incident)
    return PeopleView(
        raiser=clear(resources.keys, incident.raiser) if incident.raiser and known else None,
        parties=[clear(resources.keys, party) for party in incident.parties],
    )


async def _clearances(session: Reading, incident: Incident) -> Page[ClearanceView]:
    rows = await clearances_of(session, incident)
    return Page(items=[ClearanceView.model_validate(row) for row in rows], next=None)


def _view(opening: Opening, said: OpeningReason) -> OpeningView:
    return OpeningView(
        id=opening.id,
        incident_id=opening.incident_id,
        kind=opening.kind,
        person=OpeningPerson(id=opening.person_id, name=opening.person_name),
        reason=said.reason,
        at=opening.at,
        until=opening.until,
    )
