"""Candidates for one and the same matter: before sending, and at intake."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from app.accounts.caller import Caller
from app.accounts.dependencies import IdentifiedRoute, TheAreaMap, require
from app.accounts.permissions import Permission
from app.categories.errors import CategoryUnknown
from app.categories.queries import current_tree
from app.core.errors import Forbidden, Unauthenticated, ValidationFailed
from app.core.http import Reading, TheResources, problems
from app.core.paging import Page
from app.incidents.duplicates import at_of, similar_to, similar_to_incident
from app.incidents.errors import IncidentNotFound, PlaceUnknown
from app.incidents.likeness import Likeness, Reason, Traits
from app.incidents.models import Incident
from app.incidents.placing import place_report
from app.incidents.queries import visible_incident
from app.incidents.similar_schemas import ReasonView, SimilarQuery, SimilarView

router = APIRouter(prefix="/incidents", tags=["incidents"], route_class=IdentifiedRoute)

_SHOWN = 200
_DOOR = (Unauthenticated, Forbidden, ValidationFailed)


@router.post("/similar", responses=problems(*_DOOR, CategoryUnknown, PlaceUnknown))
async def find_similar_incidents(
    wanted: SimilarQuery,
    session: Reading,
    resources: TheResources,
    areas: TheAreaMap,
    caller: Annotated[Caller, Depends(require(Permission.REPORT))],
) -> Page[SimilarView]:
    """What may be the same already, of what the caller may see; sealed matters never."""
    tree = await current_tree(resources)
    category = tree.reportable(wanted.category).code
    placed = place_report(areas, caller, wanted.place)
    traits = Traits(
        category=category,
        text=wanted.text or "",
        at=at_of(wanted.captured_at, resources.clock.now()),
        lon=placed.lon,
        lat=placed.lat,
        grid_code=placed.lineage.grid,
        pictures=frozenset(bytes.fromhex(digest) for digest in wanted.pictures),
    )
    found = await similar_to(session, caller, traits, tree.root_of(category))
    return Page(items=[_view(*pair) for pair in found])


@router.get(
    "/{incident_id}/similar", responses=problems(Unauthenticated, Forbidden, IncidentNotFound)
)
async def list_similar_incidents(
    incident_id: UUID,
    session: Reading,
    caller: Annotated[Caller, Depends(require(Permission.READ_INCIDENTS))],
) -> Page[SimilarView]:
    """Candidates at intake; a sealed matter has none."""
    incident = await visible_incident(session, caller, incident_id)
    if incident is None:
        raise IncidentNotFound
    found = await similar_to_incident(session, caller, incident)
    return Page(items=[_view(*pair) for pair in found])


def _view(incident: Incident, alike: Likeness) -> SimilarView:
    return SimilarView(
        incident_id=incident.id,
        number=incident.number,
        state=incident.state,
        category=incident.category,
        text=incident.text[:_SHOWN],
        received_at=incident.received_at,
        score=alike.score,
        reasons=[_reason(reason) for reason in alike.reasons],
    )


def _reason(reason: Reason) -> ReasonView:
    return ReasonView(kind=reason.kind, value=reason.value, words=list(reason.words))
