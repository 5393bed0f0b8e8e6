"""Endpoints: made, changed, pinged, paused, resumed; their deliveries sent again.

`actor_id` None: an operator at the machine itself.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, and_, or_, update
from sqlalchemy import delete as delete_rows
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.core import audit
from app.core.db import new_id
from app.core.resources import Resources
from app.webhooks import sealing
from app.webhooks.addresses import AddressRefused, checked, target_of
from app.webhooks.errors import (
    DeliveryNotFound,
    EndpointAddressRefused,
    EndpointAreaUnknown,
    EndpointNotActive,
)
from app.webhooks.models import Delivery, Endpoint
from app.webhooks.payloads import PING, EndpointFacts, EndpointMessage, body_of
from app.webhooks.schemas import ChangedEndpoint, NewEndpoint, ReplayCommand

KEPT_FOR = timedelta(days=30)


async def check_address(resources: Resources, url: str) -> None:
    """At save, as at every send; asks the name service, so not inside a transaction.

    Raises EndpointAddressRefused.
    """
    try:
        await checked(target_of(url), resources.settings.webhooks.allowed_networks)
    except AddressRefused as refused:
        raise EndpointAddressRefused(reason=str(refused)) from refused


def check_areas(wanted: Sequence[str], reached: Collection[str]) -> None:
    """Raises EndpointAreaUnknown."""
    for code in wanted:
        if code not in reached:
            raise EndpointAreaUnknown(area_code=code)


async def create(
    session: AsyncSession, resources: Resources, caller: Caller, new: NewEndpoint, owner_area: str
) -> tuple[Endpoint, str]:
    """The endpoint and its secret. It waits for its first ping to be answered."""
    now = resources.clock.now()
    secret, sealed = sealing.made(resources.keys)
    endpoint = Endpoint(
        **new.model_dump(),
        id=new_id(),
        state="pending",
        secret=sealed,
        owner_area=owner_area,
        created_by=caller.id,
        created_at=now,
        failures=0,
        revision=1,
    )
    session.add(endpoint)
    await session.flush()
    await ping(session, endpoint, now)
    await _note(session, caller.id, endpoint, "created", now, url=new.url)
    return endpoint, secret


async def change(
    session: AsyncSession,
    resources: Resources,
    actor_id: UUID | None,
    endpoint: Endpoint,
    changed: ChangedEndpoint,
) -> None:
    """A new address has to answer a ping before anything else is sent to it."""
    now = resources.clock.now()
    fields = changed.model_dump(exclude_none=True)
    moved = fields.get("url", endpoint.url) != endpoint.url
    for name, value in fields.items():
        setattr(endpoint, name, value)
    endpoint.revision += 1
    if moved:
        _set(endpoint, "pending")
        await ping(session, endpoint, now)
    await session.flush()
    await _note(session, actor_id, endpoint, "changed", now, fields=sorted(fields))


async def rotate(
    session: AsyncSession, resources: Resources, actor_id: UUID | None, endpoint: Endpoint
) -> str:
    """The new secret, shown this once; for a day both sign."""
    now = resources.clock.now()
    secret = sealing.rotated(endpoint, resources.keys, now)
    await session.flush()
    await _note(session, actor_id, endpoint, "secret_rotated", now)
    return secret


async def ping(session: AsyncSession, endpoint: Endpoint, now: datetime) -> Delivery:
    """A delivery of its own kind: it is sent whatever the endpoint's state."""
    message = EndpointMessage(type=PING, timestamp=now, data=EndpointFacts(endpoint_id=endpoint.id))
    delivery = Delivery(
        id=new_id(),
        endpoint_id=endpoint.id,
        type=PING,
        body=body_of(message),
        state="queued",
        attempts=0,
        tries=0,
        next_attempt_at=now,
        created_at=now,
    )
    session.add(delivery)
    await session.flush()
    return delivery


async def pause(
    session: AsyncSession, actor_id: UUID | None, endpoint: Endpoint, now: datetime
) -> None:
    """Deliveries wait. Raises EndpointNotActive."""
    if endpoint.state not in {"active", "paused"}:
        raise EndpointNotActive(state=endpoint.state)
    _set(endpoint, "paused")
    await session.flush()
    await _note(session, actor_id, endpoint, "paused", now)


async def resume(
    session: AsyncSession, actor_id: UUID | None, endpoint: Endpoint, now: datetime
) -> None:
    """What waited is due now, also after it was disabled. Raises EndpointNotActive."""
    if endpoint.state == "pending":
        raise EndpointNotActive(state=endpoint.state)
    _set(endpoint, "active")
    await session.flush()
    await _requeue(session, endpoint, now, Delivery.state == "queued")
    await _note(session, actor_id, endpoint, "resumed", now)


async def replay(
    session: AsyncSession,
    actor_id: UUID | None,
    endpoint: Endpoint,
    wanted: ReplayCommand,
    now: datetime,
) -> int:
    """Send again under the same ids, from the foot of the ladder. Returns how many.

    What is being sent this moment is not sent twice.

    Raises DeliveryNotFound where one is named that this endpoint has not got.
    """
    if wanted.delivery_id is not None:
        named = await session.get(Delivery, wanted.delivery_id)
        if named is None or named.endpoint_id != endpoint.id:
            raise DeliveryNotFound
    replayed = await _requeue(session, endpoint, now, _chosen(wanted), Delivery.state != "sending")
    await _note(session, actor_id, endpoint, "replayed", now, deliveries=replayed)
    return replayed


async def delete(
    session: AsyncSession, actor_id: UUID | None, endpoint: Endpoint, now: datetime
) -> None:
    await session.delete(endpoint)
    await session.flush()
    await _note(session, actor_id, endpoint, "deleted", now, url=endpoint.url)


async def prune_deliveries(session: AsyncSession, now: datetime) -> None:
    """The log is kept for 30 days (W8); what is still to be sent stays, whatever its age."""
    await session.execute(
        delete_rows(Delivery).where(
            Delivery.created_at < now - KEPT_FOR, Delivery.state.in_(("delivered", "dead"))
        )
    )


def _chosen(wanted: ReplayCommand) -> ColumnElement[bool]:
    if wanted.delivery_id is not None:
        return Delivery.id == wanted.delivery_id
    if wanted.failed_since is not None:
        failed = or_(Delivery.state == "dead", Delivery.tries > 0)
        return and_(failed, Delivery.state != "delivered", _since(wanted.failed_since))
    return Delivery.created_at.between(wanted.from_, wanted.to)


def _since(at: datetime) -> ColumnElement[bool]:
    return Delivery.created_at >= at


async def _requeue(
    session: AsyncSession, endpoint: Endpoint, now: datetime, *which: ColumnElement[bool]
) -> int:
    done = await session.execute(
        update(Delivery)
        .where(Delivery.endpoint_id == endpoint.id, *which)
        .values(state="queued", tries=0, next_attempt_at=now, delivered_at=None)
        .execution_options(synchronize_session=False)
    )
    return done.rowcount if isinstance(done, CursorResult) else 0


def _set(endpoint: Endpoint, state: Literal["pending", "active", "paused"]) -> None:
    endpoint.state = state
    endpoint.revision += 1
    endpoint.disabled_reason = None
    endpoint.failures = 0
    endpoint.failing_since = endpoint.open_until = None


async def _note(
    session: AsyncSession,
    actor_id: UUID | None,
    endpoint: Endpoint,
    what: str,
    now: datetime,
    **facts: object,
) -> None:
    await audit.note(
        session,
        at=now,
        actor_id=actor_id,
        action=f"webhook_endpoint.{what}",
        target=("webhook_endpoint", endpoint.id),
        **facts,
    )
