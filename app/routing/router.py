"""Why a matter went where it went, where one would go, and what a changed rule set would change."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from app.accounts.caller import Caller
from app.accounts.dependencies import IdentifiedRoute, TheAreaMap, require
from app.accounts.permissions import Permission
from app.accounts.scope import roots_for
from app.categories.errors import CategoryUnknown
from app.categories.queries import current_tree
from app.core.errors import Forbidden, TooManyRequests, Unauthenticated, ValidationFailed
from app.core.http import Reading, TheResources, language_of, problems
from app.incidents.errors import IncidentNotFound, PlaceUnknown
from app.incidents.queries import visible_incident
from app.routing.dependencies import TheCatalogues
from app.routing.dry_run import Question, since_of, tried_out
from app.routing.errors import DryRunNotFound, DutyDeskMissing, NotRoutedYet, RuleSetNotFound
from app.routing.jobs import DryRuns, dry_run_view
from app.routing.models import RuleSet
from app.routing.previewing import preview
from app.routing.queries import decision_of, rules_of, set_in_force
from app.routing.rules import Rule
from app.routing.schemas import (
    DecisionView,
    DryRunQuery,
    DryRunView,
    PreviewQuery,
    PreviewView,
)
from app.routing.suggesting import suggestions

router = APIRouter(tags=["routing"], route_class=IdentifiedRoute)

Reader = Annotated[Caller, Depends(require(Permission.READ_ROUTING))]
Manager = Annotated[Caller, Depends(require(Permission.MANAGE_ROUTING))]
_DOOR = (Unauthenticated, Forbidden, ValidationFailed)


@router.post(
    "/routing/preview",
    responses=problems(*_DOOR, CategoryUnknown, PlaceUnknown, RuleSetNotFound, DutyDeskMissing),
)
async def preview_routing(
    wanted: PreviewQuery,
    session: Reading,
    resources: TheResources,
    areas: TheAreaMap,
    caller: Reader,
) -> PreviewView:
    """Unit, rule and trace of one report; every candidate where its grid is uncertain."""
    tree = await current_tree(resources)
    zone, now = resources.settings.zone, resources.clock.now()
    return await preview(session, caller, wanted, tree, areas, zone, now)


@router.post(
    "/routing/dry-run",
    responses={
        **problems(*_DOOR, RuleSetNotFound, TooManyRequests),
        202: {"model": DryRunView, "description": "Still running: see Location"},
    },
)
async def start_routing_dry_run(
    request: Request,
    response: Response,
    wanted: DryRunQuery,
    resources: TheResources,
    catalogues: TheCatalogues,
    caller: Manager,
) -> DryRunView:
    """What the changed rules would change over the last days: 200 with it, or 202 meanwhile."""
    now = resources.clock.now()
    async with resources.sessions.read() as session:
        standing = await set_in_force(session, now)
        current = await rules_of(session, standing.version) if standing else ()
        changed: Sequence[Rule]
        if wanted.rules is not None:
            await catalogues.check(session, wanted.rules)
            changed = tried_out(wanted.rules)
        else:
            if await session.get(RuleSet, wanted.version) is None:
                raise RuleSetNotFound
            changed = await rules_of(session, wanted.version or 0)
    question = Question(
        current=current,
        changed=changed,
        current_version=standing.version if standing else 0,
        since=since_of(wanted.days, now),
        until=now,
        roots=roots_for(caller, Permission.MANAGE_ROUTING),
        zone=resources.settings.zone,
        warnings=catalogues.warnings(changed),
    )
    run_id = await resources.the(DryRuns).start(question, caller.id)
    view = await _dry_run(resources, run_id, caller)
    response.headers["Location"] = f"{request.url.path}/{run_id}"
    response.status_code = 202 if view.state == "running" else 200
    return view


@router.get("/routing/dry-run/{dry_run_id}", responses=problems(*_DOOR, DryRunNotFound))
async def read_routing_dry_run(
    dry_run_id: UUID, resources: TheResources, caller: Manager
) -> DryRunView:
    """How far an own dry run is, and at its end what it found."""
    return await _dry_run(resources, dry_run_id, caller)


@router.get(
    "/incidents/{incident_id}/routing",
    responses=problems(Unauthenticated, Forbidden, IncidentNotFound, NotRoutedYet),
)
async def read_routing_decision(
    incident_id: UUID, request: Request, session: Reading, resources: TheResources, caller: Reader
) -> DecisionView:
    """Why the incident went where it went, and who closed similar ones (a hint, no more)."""
    incident = await visible_incident(session, caller, incident_id)
    if incident is None:
        raise IncidentNotFound
    decision = await decision_of(session, incident_id)
    if decision is None:
        raise NotRoutedYet
    hints = await suggestions(
        session, caller, incident, language_of(request), resources.clock.now()
    )
    return DecisionView.model_validate(decision).model_copy(update={"suggestions": hints})


async def _dry_run(resources: TheResources, run_id: UUID, caller: Caller) -> DryRunView:
    async with resources.sessions.read() as session:
        view = await dry_run_view(session, resources, run_id, caller.id)
    if view is None:
        raise DryRunNotFound
    return view
