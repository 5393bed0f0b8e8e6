"""What an attempt leads to: delivered, the next step of the ladder, dead, or the endpoint's end."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import audit
from app.core.events import record
from app.webhooks.claiming import BREAKER_AFTER, BREAKER_OPEN, Claimed
from app.webhooks.events import EndpointDisabled
from app.webhooks.ladder import TRIES, wait_after
from app.webhooks.models import Attempt, Delivery, Endpoint
from app.webhooks.payloads import PING
from app.webhooks.sending import Outcome

GONE = 410
FAILING_FOR = timedelta(days=5)
FAILING_ATTEMPTS = 20

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Made:
    """An attempt that was made."""

    delivery: Claimed
    outcome: Outcome


async def settle(
    session: AsyncSession, made: Sequence[Made], now: datetime, chance: random.Random
) -> None:
    """Write down what became of these attempts; endpoints in order of id, so that pumps don't meet.

    Whoever lost its lease meanwhile writes its attempt and leaves the delivery to the other.
    """
    ids = sorted({item.delivery.endpoint_id for item in made})
    locked = await session.scalars(
        select(Endpoint).where(Endpoint.id.in_(ids)).order_by(Endpoint.id).with_for_update()
    )
    endpoints = {endpoint.id: endpoint for endpoint in locked}
    await _write_attempts(session, made)
    rows = []
    for item in made:
        endpoint = endpoints.get(item.delivery.endpoint_id)
        if endpoint is not None:  # else it was deleted, and its deliveries with it
            rows.append(_delivery_row(item, now, chance))
            await _judge(session, endpoint, item, now)
    if rows:
        connection = await session.connection()
        await connection.execute(_SETTLE, rows)
    await session.flush()


_SETTLE = (
    update(Delivery)
    .where(
        Delivery.id == bindparam("delivery"),
        Delivery.state == "sending",
        Delivery.attempts == bindparam("attempt"),
    )
    .values(
        state=bindparam("new_state"),
        next_attempt_at=bindparam("due"),
        delivered_at=bindparam("done"),
    )
)
_ATTEMPT = (
    update(Attempt)
    .where(Attempt.delivery_id == bindparam("delivery"), Attempt.number == bindparam("attempt"))
    .values(
        status=bindparam("came_status"),
        latency_ms=bindparam("took"),
        error=bindparam("went_wrong"),
        response=bindparam("said"),
    )
)


async def _write_attempts(session: AsyncSession, made: Sequence[Made]) -> None:
    connection = await session.connection()
    await connection.execute(
        _ATTEMPT,
        [
            {
                "delivery": item.delivery.id,
                "attempt": item.delivery.attempts,
                "came_status": item.outcome.status,
                "took": item.outcome.latency_ms,
                "went_wrong": item.outcome.error,
                "said": item.outcome.response,
            }
            for item in made
        ],
    )


def _delivery_row(item: Made, now: datetime, chance: random.Random) -> dict[str, object]:
    row = {"delivery": item.delivery.id, "attempt": item.delivery.attempts}
    if item.outcome.delivered:
        return {**row, "new_state": "delivered", "due": None, "done": now}
    wait = wait_after(item.delivery.tries, item.outcome.retry_after_s, chance)
    if wait is None:
        return {**row, "new_state": "dead", "due": None, "done": None}
    return {**row, "new_state": "queued", "due": now + wait, "done": None}


async def _judge(session: AsyncSession, endpoint: Endpoint, item: Made, now: datetime) -> None:
    """What the attempt says of its endpoint."""
    if item.outcome.delivered:
        endpoint.failures = 0
        endpoint.failing_since = endpoint.open_until = None
        if item.delivery.type == PING and endpoint.state == "pending":
            endpoint.state = "active"
            endpoint.activated_at = endpoint.activated_at or now
            endpoint.revision += 1
        return
    if item.delivery.tries >= TRIES:
        log.error("delivery_dead", delivery_id=str(item.delivery.id), endpoint_id=str(endpoint.id))
    endpoint.failures += 1
    endpoint.failing_since = endpoint.failing_since or now
    if endpoint.failures >= BREAKER_AFTER:
        endpoint.open_until = now + BREAKER_OPEN
    if endpoint.state in {"active", "paused"}:
        await _end_hopeless(session, endpoint, item.outcome, now)


async def _end_hopeless(
    session: AsyncSession, endpoint: Endpoint, outcome: Outcome, now: datetime
) -> None:
    since = endpoint.failing_since or now
    hopeless = now - since >= FAILING_FOR and endpoint.failures >= FAILING_ATTEMPTS
    if outcome.status == GONE:
        await disable(session, endpoint, "gone", now)
    elif hopeless:
        await disable(session, endpoint, "failing", now)


async def disable(session: AsyncSession, endpoint: Endpoint, reason: str, now: datetime) -> None:
    """Nothing is sent any more until somebody resumes it; what comes in meanwhile waits."""
    endpoint.state, endpoint.disabled_reason = "disabled", reason
    endpoint.revision += 1
    log.error("endpoint_disabled", endpoint_id=str(endpoint.id), why=reason)
    area = endpoint.area_codes[0]
    event = EndpointDisabled(endpoint_id=endpoint.id, area_code=area, why=reason)
    await record(session, event, at=now)
    await audit.note(
        session,
        at=now,
        actor_id=None,
        action="webhook_endpoint.disabled",
        target=("webhook_endpoint", endpoint.id),
        reason=reason,
    )
