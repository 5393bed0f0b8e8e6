"""A matter's evidence, for everybody who may see the matter."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from app.accounts.caller import Caller
from app.accounts.dependencies import no_store, require
from app.accounts.permissions import Permission
from app.core.errors import Forbidden, Unauthenticated
from app.core.http import TheResources, Transaction, problems
from app.evidence.exporting import evidence_for
from app.evidence.schemas import Evidence
from app.incidents.attachments import Looking
from app.incidents.errors import IncidentNotFound
from app.incidents.queries import visible_incident

router = APIRouter(prefix="/incidents", tags=["incidents"], dependencies=[Depends(no_store)])


@router.get(
    "/{incident_id}/evidence", responses=problems(Unauthenticated, Forbidden, IncidentNotFound)
)
async def export_evidence(
    incident_id: UUID,
    session: Transaction,
    resources: TheResources,
    caller: Annotated[Caller, Depends(require(Permission.READ_INCIDENTS))],
) -> Evidence:
    """The history as evidence, with the proof of the night it was anchored; the export is noted.

    Anybody can verify it with `docs/evidence/verify.py` and the digests of the nights.
    """
    incident = await visible_incident(session, caller, incident_id)
    if incident is None:
        raise IncidentNotFound
    looking = Looking(
        caller, resources.clock.now(), resources.keys, resources.settings.intake.link_s
    )
    return await evidence_for(session, incident, looking)
