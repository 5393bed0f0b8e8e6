"""`/clusters`: shown to those who dispatch and supervise; every link can be taken away again."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from app.accounts.caller import Caller
from app.accounts.dependencies import IdentifiedRoute, ThePages, require
from app.accounts.permissions import Permission
from app.core.errors import CursorInvalid, Forbidden, Unauthenticated, ValidationFailed
from app.core.fields import Code
from app.core.http import Reading, TheResources, Transaction, problems
from app.core.paging import Page
from app.incidents.clusters import Cluster, clusters, dismiss, restore, visible_link
from app.incidents.errors import LinkNotFound
from app.incidents.relations import IncidentLink
from app.incidents.similar_schemas import (
    ClusterLinkView,
    ClusterMatter,
    ClusterView,
    Dismissal,
    ReasonView,
)

router = APIRouter(prefix="/clusters", tags=["clusters"], route_class=IdentifiedRoute)

Reader = Annotated[Caller, Depends(require(Permission.READ_CLUSTERS))]
_DOOR = (Unauthenticated, Forbidden, ValidationFailed)
_MOST_MATTERS, _MOST_LINKS = 200, 500


@router.get("", responses=problems(*_DOOR, CursorInvalid))
async def list_clusters(
    session: Reading,
    resources: TheResources,
    pages: ThePages,
    caller: Reader,
    category: Annotated[Code | None, Query()] = None,
) -> Page[ClusterView]:
    """Matters of the last 90 days that may belong together, with a reason for each link."""
    after = pages.position(f"clusters:{caller.id}:{category}")
    found = await clusters(session, caller, category, resources.clock.now())
    rows = [each for each in found if after is None or _position(each) < after][: pages.fetch]
    cut, following = pages.cut(rows, _position)
    return Page(items=[_view(each) for each in cut], next=following)


@router.post("/links/{link_id}/dismiss", responses=problems(*_DOOR, LinkNotFound))
async def dismiss_cluster_link(
    link_id: UUID,
    wanted: Dismissal,
    session: Transaction,
    resources: TheResources,
    caller: Reader,
) -> ClusterLinkView:
    """These two have nothing to do with each other; it is not found again."""
    link = await _visible(session, caller, link_id)
    await dismiss(session, link, wanted.reason, caller.id, resources.clock.now())
    return _link(link)


@router.post("/links/{link_id}/restore", responses=problems(*_DOOR, LinkNotFound))
async def restore_cluster_link(
    link_id: UUID, session: Transaction, resources: TheResources, caller: Reader
) -> ClusterLinkView:
    """It was dismissed by mistake."""
    link = await _visible(session, caller, link_id)
    await restore(session, link, caller.id, resources.clock.now())
    return _link(link)


async def _visible(session: Transaction, caller: Caller, link_id: UUID) -> IncidentLink:
    link = await visible_link(session, caller, link_id)
    if link is None:
        raise LinkNotFound
    return link


def _position(cluster: Cluster) -> list[str]:
    newest, oldest = cluster.position
    return [newest.isoformat(), str(oldest)]


def _view(cluster: Cluster) -> ClusterView:
    words = {word for each in cluster.links for reason in each.reasons for word in reason["words"]}
    first, last = cluster.matters[0], cluster.matters[-1]
    return ClusterView(
        id=first.id,
        category=first.category,
        first_at=first.received_at,
        last_at=last.received_at,
        size=len(cluster.matters),
        words=sorted(words),
        matters=[
            ClusterMatter(
                incident_id=matter.id,
                number=matter.number,
                state=matter.state,
                area_code=matter.area_code,
                received_at=matter.received_at,
            )
            for matter in cluster.matters[:_MOST_MATTERS]
        ],
        links=[_link(each) for each in cluster.links[:_MOST_LINKS]],
    )


def _link(link: IncidentLink) -> ClusterLinkView:
    return ClusterLinkView(
        id=link.id,
        earlier_id=link.earlier_id,
        later_id=link.later_id,
        score=link.score,
        reasons=[ReasonView.model_validate(reason) for reason in link.reasons],
        found_at=link.found_at,
        dismissed_at=link.dismissed_at,
    )
