"""Callbacks: what platforms send back, what became of it, and the secrets they sign with."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from app.accounts.caller import Caller
from app.accounts.dependencies import (
    IdentifiedRoute,
    TheAreaMap,
    ThePages,
    address_of,
    require,
)
from app.accounts.errors import PlatformNotFound
from app.accounts.models import Platform
from app.accounts.permissions import Permission
from app.accounts.platforms import find_platform
from app.accounts.scope import areas_below, roots_for
from app.core.errors import (
    ContentEncodingRefused,
    CursorInvalid,
    Forbidden,
    PayloadTooLarge,
    Unauthenticated,
)
from app.core.fields import Code, schemas_of
from app.core.http import Reading, TheResources, Transaction, problems
from app.core.packing import demand_plain
from app.core.paging import Page
from app.webhooks import adapters
from app.webhooks.callback_messages import CallbackMessage
from app.webhooks.callback_schemas import (
    AdapterView,
    CallbackReceipt,
    CallbackSecretView,
    CallbackState,
    CallbackView,
    NewAdapter,
    WebhookId,
)
from app.webhooks.callbacks import (
    Called,
    callbacks_page,
    readable_platform,
    receive,
    rotate_secret,
)
from app.webhooks.errors import CallbackNotFound, CallbackUnauthenticated
from app.webhooks.models import Callback

router = APIRouter(tags=["callbacks"], route_class=IdentifiedRoute)

Reader = Annotated[Caller, Depends(require(Permission.READ_CALLBACKS))]
Manager = Annotated[Caller, Depends(require(Permission.MANAGE_PLATFORMS))]
_HEADERS = {
    "webhook-id": "The message's own id, the same at every attempt",
    "webhook-timestamp": "Seconds since 1970, of this attempt",
    "webhook-signature": "`v1,` and the base64 HMAC-SHA256 over `id.timestamp.body`",
}
_BODY: dict[str, Any] = {
    "parameters": [
        {
            "name": name,
            "in": "header",
            "required": True,
            "description": words,
            "schema": {"type": "string", "maxLength": 1000},
        }
        for name, words in _HEADERS.items()
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/CallbackMessage"}}
        },
    },
    "x-schemas": schemas_of(CallbackMessage),
}


async def the_platform(
    platform: Code, areas: TheAreaMap, session: Reading, caller: Reader
) -> Platform:
    """Its own callbacks for a platform; for people those of platforms of their area."""
    reach = areas_below(areas, roots_for(caller, Permission.READ_CALLBACKS))
    found = await readable_platform(session, caller, reach, platform)
    if found is None:
        raise PlatformNotFound
    return found


ThePlatform = Annotated[Platform, Depends(the_platform)]


@router.post(
    "/callbacks/{platform}",
    status_code=202,
    responses=problems(CallbackUnauthenticated, ContentEncodingRefused, PayloadTooLarge),
    openapi_extra=_BODY,
)
async def receive_callback(
    platform: Code, request: Request, resources: TheResources
) -> CallbackReceipt:
    """A signed message of a platform (Standard Webhooks 1.0.0), at most 256 KiB.

    One that cannot sign shows its token, time and a nonce in the headers agreed on with it.

    202: it is kept and will be applied; what became of it is read by its id. The same id again is
    answered with its state and never applied twice.
    """
    # signed as it came: nothing is unpacked, and what is packed is told so before it is judged
    demand_plain(request.headers.get("content-encoding"))
    # read to its end before the database is asked: a slow sender holds no connection
    body = await request.body()
    called = Called(request.headers, body, address_of(request))
    webhook_id, state = await receive(resources, platform, called)
    return CallbackReceipt.model_validate({"webhook_id": webhook_id, "state": state})


@router.get(
    "/callbacks/{platform}",
    responses=problems(Unauthenticated, Forbidden, PlatformNotFound, CursorInvalid),
)
async def list_callbacks(
    platform: ThePlatform,
    session: Reading,
    pages: ThePages,
    state: Annotated[CallbackState | None, Query()] = None,
) -> Page[CallbackView]:
    """The newest first; `state=parked` are those that wait for their incident or an earlier one."""
    position = pages.position(f"callbacks:{platform.id}:{state}")
    before = (str(position[0]), str(position[1])) if position else None
    rows = await callbacks_page(session, platform.id, state, before, pages.fetch)
    page, following = pages.cut(rows, lambda row: [row.received_at.isoformat(), row.webhook_id])
    return Page(items=[CallbackView.model_validate(row) for row in page], next=following)


@router.get(
    "/callbacks/{platform}/{webhook_id}",
    responses=problems(Unauthenticated, Forbidden, PlatformNotFound, CallbackNotFound),
)
async def read_callback(
    platform: ThePlatform, webhook_id: WebhookId, session: Reading
) -> CallbackView:
    """What became of it: applied, refused, parked, ignored as stale, or still due."""
    row = await session.get(Callback, (platform.id, webhook_id))
    if row is None:
        raise CallbackNotFound
    return CallbackView.model_validate(row)


@router.post(
    "/platforms/{platform_id}/rotate-callback-secret",
    responses=problems(Unauthenticated, Forbidden, PlatformNotFound),
)
async def rotate_callback_secret(
    platform_id: UUID,
    resources: TheResources,
    areas: TheAreaMap,
    session: Transaction,
    caller: Manager,
) -> CallbackSecretView:
    """The first secret, or a new one; the answer shows it this once, both are valid for a day."""
    reach = areas_below(areas, roots_for(caller, Permission.MANAGE_PLATFORMS))
    platform = await find_platform(session, reach, platform_id)
    now = resources.clock.now()
    secret = await rotate_secret(session, resources.keys, platform.id, caller.id, now)
    return CallbackSecretView(platform_id=platform.id, secret=secret)


@router.post(
    "/platforms/{platform_id}/callback-adapter",
    status_code=201,
    responses=problems(Unauthenticated, Forbidden, PlatformNotFound),
)
async def open_callback_adapter(
    platform_id: UUID,
    command: NewAdapter,
    resources: TheResources,
    areas: TheAreaMap,
    session: Transaction,
    caller: Manager,
) -> AdapterView:
    """For a platform that cannot sign: a token it shows from its own network, with time and nonce.

    Weaker than a signature, so there is none until it is opened here; opened again, it replaces
    the one before.
    """
    reach = areas_below(areas, roots_for(caller, Permission.MANAGE_PLATFORMS))
    platform = await find_platform(session, reach, platform_id)
    now = resources.clock.now()
    token = await adapters.open_for(session, platform.id, command, caller.id, now)
    return AdapterView(platform_id=platform.id, token=token, **command.model_dump())


@router.delete(
    "/platforms/{platform_id}/callback-adapter",
    status_code=204,
    responses=problems(Unauthenticated, Forbidden, PlatformNotFound),
)
async def close_callback_adapter(
    platform_id: UUID,
    resources: TheResources,
    areas: TheAreaMap,
    session: Transaction,
    caller: Manager,
) -> Response:
    """From now on only signed callbacks are believed."""
    reach = areas_below(areas, roots_for(caller, Permission.MANAGE_PLATFORMS))
    platform = await find_platform(session, reach, platform_id)
    await adapters.close_for(session, platform.id, caller.id, resources.clock.now())
    return Response(status_code=204)
