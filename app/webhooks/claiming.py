"""The pump's three questions to the database: what is due, what was begun, what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, insert, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.webhooks.models import Attempt

LEASE = timedelta(seconds=60)
"""How long a claimed delivery is nobody else's; longer than any attempt takes."""
LANES = 4
"""Attempts at one endpoint at the same time, in all processes together."""
BREAKER_AFTER = 10
BREAKER_OPEN = timedelta(minutes=1)

_DUE = text(
    """
    WITH lanes AS (
      SELECT e.id, e.state, e.ordered,
        CASE WHEN e.failures >= :breaker THEN 1 ELSE :lanes END
          - (SELECT count(*) FROM deliveries s WHERE s.endpoint_id = e.id
             AND s.state = 'sending' AND s.next_attempt_at > :now) AS room
      FROM webhook_endpoints e
      WHERE (e.open_until IS NULL OR e.open_until <= :now)
        AND e.id <> ALL(:full)
        AND EXISTS (SELECT FROM deliveries w WHERE w.endpoint_id = e.id
          AND w.state IN ('queued', 'sending') AND w.next_attempt_at <= :now)
    )
    SELECT due.id FROM lanes CROSS JOIN LATERAL (
      SELECT d.id FROM deliveries d
      WHERE d.endpoint_id = lanes.id AND d.state IN ('queued', 'sending')
        AND d.next_attempt_at <= :now
        AND (lanes.state = 'active' OR d.type = 'webhook.ping')
        AND NOT (lanes.ordered AND EXISTS (
          SELECT FROM deliveries p WHERE p.endpoint_id = d.endpoint_id
            AND p.subject_id = d.subject_id AND p.event_id < d.event_id
            AND p.state IN ('queued', 'sending')))
      ORDER BY d.next_attempt_at, d.event_id
      LIMIT greatest(lanes.room, 0)
      FOR UPDATE SKIP LOCKED
    ) due
    """
)
_CLAIM = text(
    """
    UPDATE deliveries d SET state = 'sending', next_attempt_at = :until,
      attempts = d.attempts + 1, tries = d.tries + 1
    FROM webhook_endpoints e
    WHERE d.id = ANY(:ids) AND e.id = d.endpoint_id
    RETURNING d.id, d.endpoint_id, d.event_id, d.type, d.body, d.attempts, d.tries, e.url,
      e.secret, e.former_secret, e.former_until
    """
)
_INTERRUPTED = (
    update(Attempt)
    .where(
        Attempt.delivery_id == bindparam("delivery"),
        Attempt.number < bindparam("attempt"),
        Attempt.status.is_(None),
        Attempt.error.is_(None),
    )
    .values(error="interrupted")
    .execution_options(synchronize_session=False)
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is ours until its lease is over, and what signs it."""

    id: UUID
    endpoint_id: UUID
    event_id: int | None
    type: str
    body: bytes
    attempts: int
    tries: int
    url: str
    secret: str
    former_secret: str | None
    former_until: datetime | None


async def claim(session: AsyncSession, now: datetime, full: Sequence[UUID]) -> list[Claimed]:
    """Take what is due, a few of each endpoint; every attempt is written down before it is made.

    `full`: endpoints whose rate is used up for the moment.
    """
    due = await session.scalars(
        _DUE, {"now": now, "lanes": LANES, "breaker": BREAKER_AFTER, "full": list(full)}
    )
    ids = list(due)
    if not ids:
        return []
    rows = await session.execute(_CLAIM, {"ids": ids, "until": now + LEASE})
    claimed = [Claimed(**row) for row in rows.mappings()]
    again = [item for item in claimed if item.attempts > 1]
    for item in again:
        await session.execute(_INTERRUPTED, {"delivery": item.id, "attempt": item.attempts})
    await session.execute(
        insert(Attempt),
        [{"delivery_id": item.id, "number": item.attempts, "at": now} for item in claimed],
    )
    # the oldest event first, whatever order the rows came back in
    return sorted(claimed, key=lambda item: (item.event_id or 0, item.id))
