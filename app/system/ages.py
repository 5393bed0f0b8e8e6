"""Ages are the alarms (4-reliability §6): how long the oldest of each kind has been waiting."""

from sqlalchemy import TextClause, text

from app.core.metrics import Metrics
from app.core.resources import Resources

_UNROUTED = text("""
    SELECT min(received_at) FROM incidents WHERE state = 'submitted' AND current_step_id IS NULL""")
_OUTBOX = text("""
    SELECT least(
      (SELECT min(recorded_at) FROM domain_events WHERE processed_at IS NULL),
      (SELECT min(e.recorded_at) FROM parked_reactions p JOIN domain_events e ON e.id = p.event_id
       WHERE p.next_attempt_at IS NOT NULL))""")
_MEDIA = text("""
    SELECT least(
      (SELECT min(i.received_at) FROM incident_media m JOIN incidents i ON i.id = m.incident_id
       WHERE m.state = 'expected'),
      (SELECT min(queued_at) FROM media_examinations WHERE state = 'queued'))""")
_UNSEEN = text("""
    SELECT min(n.at) FROM notices n JOIN incidents i ON i.id = n.incident_id
    WHERE n.acked_at IS NULL AND i.urgency IN ('urgent', 'critical')""")

_AUDIT = text("SELECT min(at) FROM audit_entries WHERE chain_seq IS NULL")
_WEBHOOKS = text("""
    SELECT min(d.next_attempt_at) FROM webhook_endpoints e JOIN deliveries d ON d.endpoint_id = e.id
    WHERE e.state = 'active' AND d.state IN ('queued', 'sending')""")

_DEAD = text("SELECT count(*) FROM deliveries WHERE state = 'dead'")
_DISABLED = text("SELECT count(*) FROM webhook_endpoints WHERE state = 'disabled'")
_GIVEN_UP = text("SELECT count(*) FROM parked_reactions WHERE next_attempt_at IS NULL")

_AGES = (
    ("unrouted_oldest_seconds", "Oldest report without a unit", _UNROUTED),
    ("outbox_oldest_seconds", "Oldest event without its reactions", _OUTBOX),
    ("media_pending_oldest_seconds", "Oldest file still expected, or not yet looked into", _MEDIA),
    ("webhook_oldest_due_seconds", "Oldest delivery that should have been tried", _WEBHOOKS),
    ("audit_unsealed_oldest_seconds", "Oldest entry of the audit trail not yet chained", _AUDIT),
    ("unseen_urgent_oldest_seconds", "Oldest notice of an urgent matter nobody has seen", _UNSEEN),
)
_COUNTS = (
    ("webhook_dead_deliveries", "Deliveries given up, to be replayed by somebody", _DEAD),
    ("webhook_disabled_endpoints", "Endpoints that are called no more", _DISABLED),
    ("reactions_given_up", "Reactions that failed five times (F27)", _GIVEN_UP),
)


def register_ages(resources: Resources) -> None:
    """Make the alarms part of this process's metrics; called once."""
    metrics = resources.the(Metrics)
    for name, description, question in _AGES:
        metrics.age(name, description, _Age(question))
    for name, description, question in _COUNTS:
        metrics.age(name, description, _Count(question))


class _Age:
    """Seconds since the oldest; 0 when nothing waits."""

    def __init__(self, question: TextClause) -> None:
        self._question = question

    async def __call__(self, resources: Resources) -> float:
        async with resources.sessions.read() as session:
            oldest = await session.scalar(self._question)
        if oldest is None:
            return 0.0
        age: float = (resources.clock.now() - oldest).total_seconds()
        return max(0.0, age)


class _Count:
    """Of what should not be there at all."""

    def __init__(self, question: TextClause) -> None:
        self._question = question

    async def __call__(self, resources: Resources) -> float:
        async with resources.sessions.read() as session:
            return float(await session.scalar(self._question) or 0)
