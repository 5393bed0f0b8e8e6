"""Endpoints of other platforms: made, changed, tried, and what was sent to them."""

from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy import select

from app.accounts.caller import Caller
from app.accounts.dependencies import (
    IdentifiedRoute,
    SeenRevision,
    TheAreaMap,
    ThePages,
    etag,
    no_store,
    require,
)
from app.accounts.permissions import Permission
from app.accounts.scope import areas_below, roots_for
from app.core.errors import (
    CursorInvalid,
    Forbidden,
    RevisionRequired,
    RevisionStale,
    Unauthenticated,
)
from app.core.http import Reading, TheResources, Transaction, problems
from app.core.paging import Page
from app.webhooks import endpoints, errors
from app.webhooks.models import Attempt, Delivery, Endpoint
from app.webhooks.queries import (
    attempts_of,
    deliveries_page,
    endpoint_by_id,
    locked_endpoint,
    manageable,
)
from app.webhooks.schemas import (
    AttemptView,
    ChangedEndpoint,
    DeliveryState,
    DeliveryView,
    EndpointView,
    EndpointWithSecret,
    NewEndpoint,
    ReplayCommand,
    Replayed,
)

router = APIRouter(
    prefix="/webhook-endpoints",
    tags=["webhooks"],
    dependencies=[Depends(no_store)],
    route_class=IdentifiedRoute,
)

Manager = Annotated[Caller, Depends(require(Permission.MANAGE_WEBHOOKS))]
_ONE = (Unauthenticated, Forbidden, errors.EndpointNotFound)


async def managed_areas(areas: TheAreaMap, caller: Manager) -> frozenset[str]:
    return areas_below(areas, roots_for(caller, Permission.MANAGE_WEBHOOKS))


ManagedAreas = Annotated[frozenset[str], Depends(managed_areas)]


async def the_endpoint(
    endpoint_id: UUID, session: Transaction, areas: ManagedAreas, caller: Manager
) -> Endpoint:
    """Locked, to be changed."""
    found = await locked_endpoint(session, caller, areas, endpoint_id)
    if found is None:
        raise errors.EndpointNotFound
    return found


async def the_read_endpoint(
    endpoint_id: UUID, session: Reading, areas: ManagedAreas, caller: Manager
) -> Endpoint:
    found = await endpoint_by_id(session, caller, areas, endpoint_id)
    if found is None:
        raise errors.EndpointNotFound
    return found


async def new_address(command: NewEndpoint, resources: TheResources, _: Manager) -> None:
    """Asks the name service: before the transaction begins, and of nobody who may not."""
    await endpoints.check_address(resources, command.url)


async def changed_address(command: ChangedEndpoint, resources: TheResources, _: Manager) -> None:
    """The same of an endpoint that moves."""
    if command.url is not None:
        await endpoints.check_address(resources, command.url)


TheEndpoint = Annotated[Endpoint, Depends(the_endpoint)]
TheReadEndpoint = Annotated[Endpoint, Depends(the_read_endpoint)]


@router.get("", responses=problems(Unauthenticated, Forbidden, CursorInvalid))
async def list_webhook_endpoints(
    areas: ManagedAreas, session: Reading, pages: ThePages, caller: Manager
) -> Page[EndpointView]:
    position = pages.position(f"webhook-endpoints:{caller.id}")
    question = select(Endpoint).where(manageable(caller, areas))
    if position is not None:
        question = question.where(Endpoint.id > UUID(str(position[0])))
    rows = await session.scalars(question.order_by(Endpoint.id).limit(pages.fetch))
    page, following = pages.cut(rows.all(), lambda row: [str(row.id)])
    return Page(items=[EndpointView.model_validate(row) for row in page], next=following)


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(new_address)],
    responses=problems(
        Unauthenticated, Forbidden, errors.EndpointAddressRefused, errors.EndpointAreaUnknown
    ),
)
async def create_webhook_endpoint(
    command: NewEndpoint,
    resources: TheResources,
    areas: ManagedAreas,
    session: Transaction,
    caller: Manager,
) -> EndpointWithSecret:
    """The answer shows the secret this once. A signed `webhook.ping` follows; 2xx activates it."""
    endpoints.check_areas(command.area_codes, areas)
    owner_area = min(roots_for(caller, Permission.MANAGE_WEBHOOKS), key=len)
    endpoint, secret = await endpoints.create(session, resources, caller, command, owner_area)
    return _with_secret(endpoint, secret)


@router.get("/{endpoint_id}", responses=problems(*_ONE))
async def read_webhook_endpoint(endpoint: TheReadEndpoint, response: Response) -> EndpointView:
    return _tagged(response, endpoint)


@router.patch(
    "/{endpoint_id}",
    dependencies=[Depends(changed_address)],
    responses=problems(
        *_ONE,
        errors.EndpointAddressRefused,
        errors.EndpointAreaUnknown,
        RevisionRequired,
        RevisionStale,
    ),
)
async def change_webhook_endpoint(
    command: ChangedEndpoint,
    revision: SeenRevision,
    endpoint: TheEndpoint,
    response: Response,
    resources: TheResources,
    areas: ManagedAreas,
    session: Transaction,
    caller: Manager,
) -> EndpointView:
    """With the ETag you saw. A new address has to answer a ping before it is told anything."""
    if endpoint.revision != revision:
        current, tag = EndpointView.model_validate(endpoint), etag(endpoint.revision)
        raise RevisionStale.over(current, tag, revision=endpoint.revision)
    endpoints.check_areas(command.area_codes or (), areas)
    await endpoints.change(session, resources, caller.id, endpoint, command)
    return _tagged(response, endpoint)


@router.delete("/{endpoint_id}", status_code=204, responses=problems(*_ONE))
async def delete_webhook_endpoint(
    endpoint: TheEndpoint, resources: TheResources, session: Transaction, caller: Manager
) -> Response:
    """With its deliveries."""
    await endpoints.delete(session, caller.id, endpoint, resources.clock.now())
    return Response(status_code=204)


@router.post("/{endpoint_id}/rotate-secret", responses=problems(*_ONE))
async def rotate_webhook_secret(
    endpoint: TheEndpoint, resources: TheResources, session: Transaction, caller: Manager
) -> EndpointWithSecret:
    """The answer shows the new secret this once; for 24 hours both sign every message."""
    secret = await endpoints.rotate(session, resources, caller.id, endpoint)
    return _with_secret(endpoint, secret)


@router.post("/{endpoint_id}/test", status_code=202, responses=problems(*_ONE))
async def test_webhook_endpoint(
    endpoint: TheEndpoint, resources: TheResources, session: Transaction
) -> DeliveryView:
    """Queue a `webhook.ping`; what became of it stands among the deliveries."""
    delivery = await endpoints.ping(session, endpoint, resources.clock.now())
    return _shown(delivery, {})


@router.post("/{endpoint_id}/pause", responses=problems(*_ONE, errors.EndpointNotActive))
async def pause_webhook_endpoint(
    endpoint: TheEndpoint, resources: TheResources, session: Transaction, caller: Manager
) -> EndpointView:
    """Deliveries wait until it is resumed."""
    await endpoints.pause(session, caller.id, endpoint, resources.clock.now())
    return EndpointView.model_validate(endpoint)


@router.post("/{endpoint_id}/resume", responses=problems(*_ONE, errors.EndpointNotActive))
async def resume_webhook_endpoint(
    endpoint: TheEndpoint, resources: TheResources, session: Transaction, caller: Manager
) -> EndpointView:
    """Paused or disabled: everything that waited is due now."""
    await endpoints.resume(session, caller.id, endpoint, resources.clock.now())
    return EndpointView.model_validate(endpoint)


@router.get("/{endpoint_id}/deliveries", responses=problems(*_ONE, CursorInvalid))
async def list_deliveries(
    endpoint: TheReadEndpoint,
    session: Reading,
    pages: ThePages,
    state: Annotated[DeliveryState | None, Query()] = None,
) -> Page[DeliveryView]:
    """The newest first, each with every attempt."""
    position = pages.position(f"deliveries:{endpoint.id}:{state}")
    after = (str(position[0]), str(position[1])) if position else None
    rows = await deliveries_page(session, endpoint.id, state, after, pages.fetch)
    page, following = pages.cut(rows, lambda row: [row.created_at.isoformat(), str(row.id)])
    attempts = await attempts_of(session, [row.id for row in page])
    return Page(items=[_shown(row, attempts) for row in page], next=following)


@router.post("/{endpoint_id}/replay", responses=problems(*_ONE, errors.DeliveryNotFound))
async def replay_deliveries(
    command: ReplayCommand,
    endpoint: TheEndpoint,
    resources: TheResources,
    session: Transaction,
    caller: Manager,
) -> Replayed:
    """One delivery, all that failed since a time, or a span of time; each under its own id."""
    now = resources.clock.now()
    return Replayed(replayed=await endpoints.replay(session, caller.id, endpoint, command, now))


def _tagged(response: Response, endpoint: Endpoint) -> EndpointView:
    response.headers["ETag"] = etag(endpoint.revision)
    return EndpointView.model_validate(endpoint)


def _with_secret(endpoint: Endpoint, secret: str) -> EndpointWithSecret:
    shown = EndpointView.model_validate(endpoint)
    return EndpointWithSecret(**shown.model_dump(), secret=secret)


def _shown(delivery: Delivery, attempts: Mapping[UUID, Sequence[Attempt]]) -> DeliveryView:
    made = [AttemptView.model_validate(row) for row in attempts.get(delivery.id, ())]
    return DeliveryView(
        id=delivery.id,
        event_id=delivery.event_id,
        incident_id=delivery.subject_id,
        type=delivery.type,
        state=delivery.state,
        attempts=made,
        next_attempt_at=delivery.next_attempt_at,
        created_at=delivery.created_at,
        delivered_at=delivery.delivered_at,
    )
