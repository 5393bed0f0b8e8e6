"""`/routing/rules`: whole versions of the rule set, written by administrators."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from app.accounts.caller import Caller
from app.accounts.dependencies import IdentifiedRoute, TheAreaMap, ThePages, require
from app.accounts.permissions import Permission
from app.accounts.scope import roots_for
from app.categories.dependencies import IfMatch, IfNoneMatch, catalogue, written
from app.core.errors import (
    CursorInvalid,
    Forbidden,
    RevisionRequired,
    RevisionStale,
    Unauthenticated,
    ValidationFailed,
)
from app.core.fields import Instant
from app.core.http import Reading, TheResources, Transaction, problems
from app.core.paging import Page
from app.routing.changing import activate_set, read_set, state_of, write_set
from app.routing.dependencies import TheCatalogues
from app.routing.errors import RuleSetNotDraft, RuleSetNotFound
from app.routing.feedback import feedback
from app.routing.models import RuleSet
from app.routing.queries import set_in_force, sets_before
from app.routing.schemas import (
    Activation,
    RuleFeedback,
    RuleSetChange,
    RuleSetPage,
    RuleSetView,
)

router = APIRouter(prefix="/routing/rules", tags=["routing"], route_class=IdentifiedRoute)

Reader = Annotated[Caller, Depends(require(Permission.READ_ROUTING))]
Manager = Annotated[Caller, Depends(require(Permission.MANAGE_ROUTING))]
_DOOR = (Unauthenticated, Forbidden, ValidationFailed)


@router.get("", response_model=RuleSetPage, responses=problems(*_DOOR, RuleSetNotFound))
async def list_routing_rules(
    session: Reading,
    resources: TheResources,
    catalogues: TheCatalogues,
    _: Reader,
    version: Annotated[int | None, Query(ge=1, le=2**31)] = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The rules in force, or a version, in the order in which they are tried; always whole."""
    page = await read_set(session, catalogues, resources.clock.now(), version)
    return catalogue(page, if_none_match)


@router.put(
    "",
    response_model=RuleSetPage,
    responses=problems(*_DOOR, RevisionRequired, RevisionStale),
)
async def replace_routing_rules(
    change: RuleSetChange,
    caller: Manager,
    session: Transaction,
    resources: TheResources,
    catalogues: TheCatalogues,
    if_match: IfMatch = None,
) -> Response:
    """Write the next version, with the ETag of the set in force as you saw it."""
    view = await write_set(
        session, change, if_match, catalogues, actor_id=caller.id, at=resources.clock.now()
    )
    return written(view)


@router.get("/versions", responses=problems(*_DOOR, CursorInvalid))
async def list_routing_rule_versions(
    session: Reading, resources: TheResources, pages: ThePages, _: Reader
) -> Page[RuleSetView]:
    """Every version that was written, newest first."""
    after = pages.position("routing-rule-versions")
    now = resources.clock.now()
    standing = await set_in_force(session, now)
    rows = await sets_before(session, after[0] if after else None, pages.fetch)
    found, following = pages.cut(rows, lambda row: [row[0].version])

    def view(rule_set: RuleSet, rules: int) -> RuleSetView:
        return RuleSetView(
            version=rule_set.version,
            state=state_of(rule_set, standing, now),
            valid_from=rule_set.valid_from,
            note=rule_set.note,
            rules=rules,
            created_by=rule_set.created_by,
            created_at=rule_set.created_at,
        )

    return Page(items=[view(*row) for row in found], next=following)


@router.post(
    "/versions/{version}/activate",
    response_model=RuleSetPage,
    responses=problems(*_DOOR, RuleSetNotFound, RuleSetNotDraft),
)
async def activate_routing_rules(
    version: Annotated[int, Path(ge=1, le=2**31)],
    wanted: Activation,
    caller: Manager,
    session: Transaction,
    resources: TheResources,
    catalogues: TheCatalogues,
) -> Response:
    """Give a draft its moment: now, or a later one."""
    view = await activate_set(
        session,
        version,
        wanted.valid_from,
        catalogues,
        actor_id=caller.id,
        at=resources.clock.now(),
    )
    return written(view)


@router.get("/feedback", responses=problems(*_DOOR))
async def list_routing_feedback(
    session: Reading,
    resources: TheResources,
    areas: TheAreaMap,
    caller: Reader,
    since: Instant | None = None,
) -> Page[RuleFeedback]:
    """Per rule: matters of the own area since then (30 days), and those that bounced."""
    roots = roots_for(caller, Permission.READ_ROUTING)
    now = resources.clock.now()
    return Page(items=await feedback(session, areas, roots, since, now))
