from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from app.accounts.caller import Caller
from app.accounts.dependencies import require
from app.accounts.permissions import Permission
from app.core.errors import Forbidden, Unauthenticated
from app.core.http import Reading, problems
from app.core.paging import MAX_LIMIT, Page
from app.incidents.errors import IncidentNotFound
from app.incidents.queries import visible_incident
from app.routing.errors import NotRoutedYet
from app.routing.queries import current_rules, decision_of
from app.routing.schemas import DecisionView, RuleView

router = APIRouter(tags=["routing"])


@router.get("/routing/rules", responses=problems(Unauthenticated, Forbidden))
async def list_routing_rules(
    session: Reading,
    caller: Annotated[Caller, Depends(require(Permission.READ_ROUTING))],
) -> Page[RuleView]:
    """The rules in force, in the order in which they are tried."""
    del caller  # the rules are the same for everybody who may read them
    rules = await current_rules(session)
    return Page(items=[RuleView.model_validate(rule) for rule in rules[:MAX_LIMIT]])


@router.get(
    "/incidents/{incident_id}/routing",
    responses=problems(Unauthenticated, Forbidden, IncidentNotFound, NotRoutedYet),
)
async def read_routing_decision(
    incident_id: UUID,
    session: Reading,
    caller: Annotated[Caller, Depends(require(Permission.READ_ROUTING))],
) -> DecisionView:
    """Why the incident went where it went: the stored trace."""
    if await visible_incident(session, caller, incident_id) is None:
        raise IncidentNotFound
    decision = await decision_of(session, incident_id)
    if decision is None:
        raise NotRoutedYet
    return DecisionView.model_validate(decision)
