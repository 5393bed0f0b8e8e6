"""Guards taken out of a server, for control runs: a check that then holds would prove nothing."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import relay
from app.core.events import OutboxRow, record
from app.incidents import reporting, settling
from app.incidents.events import IncidentReported
from app.incidents.models import Incident
from app.notifications import inbox


def look_then_insert() -> None:
    """A report is looked for, then inserted: the textbook. The keys are dropped in the database."""
    reporting.INTAKE = _changed(reporting.INTAKE, "ON CONFLICT (id) DO NOTHING", "")


UNKEYED = (
    "ALTER TABLE incidents DROP CONSTRAINT pk_incidents CASCADE",
    "ALTER TABLE history_entries DROP CONSTRAINT pk_history_entries",
)


def two_relays_at_once() -> None:
    """Each leads, and they take turns with the events: the obvious way to have twice as many."""
    relay.LOCK_KEY = os.getpid()
    relay._waiting = _not_yet_taken  # noqa: SLF001 - sabotage


def number_by_counting() -> None:
    """A notice's number is how many there are, and one: no counter, no lock."""
    two_relays_at_once()
    inbox._WRITE = _changed(  # noqa: SLF001 - sabotage
        inbox._WRITE,  # noqa: SLF001
        """INSERT INTO inboxes AS i (person_id, head_seq)
      SELECT person_id, notices FROM counted ORDER BY person_id
      ON CONFLICT (person_id) DO UPDATE SET head_seq = i.head_seq + excluded.head_seq""",
        """INSERT INTO inboxes AS i (person_id, head_seq)
      SELECT person_id, notices + (
        SELECT count(*) FROM notices n WHERE n.person_id = counted.person_id)
      FROM counted, pg_sleep(0.05) ORDER BY person_id
      ON CONFLICT (person_id) DO UPDATE SET head_seq = excluded.head_seq""",
    )


UNNUMBERED = ("ALTER TABLE notices DROP CONSTRAINT pk_notices CASCADE",)


def announce_after_the_commit() -> None:
    """The event is written in a transaction of its own, once the report is safe."""
    # the statement goes on, and announces nothing
    reporting.INTAKE = _changed(
        reporting.INTAKE,
        "FROM fresh\n    )\n    SELECT",
        "FROM fresh WHERE false\n    )\n    SELECT",
    )
    replace_everywhere(settling.settle, _settle_then_announce(settling.settle))


def _settle_then_announce(settle: Callable[..., Any]) -> Callable[..., Any]:
    async def settle_then_announce(resources: Any, *given: Any) -> Any:
        settled = await settle(resources, *given)
        if not settled.replayed:
            async with resources.sessions.begin() as session:
                found = await session.get_one(Incident, settled.receipt.id)
                facts = {name: getattr(found, name) for name in _FACTS}
                event = IncidentReported(incident_id=found.id, **facts)
                await record(session, event, at=found.received_at)
        return settled

    return settle_then_announce


_FACTS = (
    "number",
    "reporter_id",
    "sealed",
    "category",
    "urgency",
    "state",
    "owner_unit_id",
)


async def _not_yet_taken(session: AsyncSession, limit: int) -> Sequence[Any]:
    rows = await session.scalars(
        select(OutboxRow)
        .where(OutboxRow.processed_at.is_(None))
        .order_by(OutboxRow.id)
        .limit(min(limit, 3))
        .with_for_update(skip_locked=True)
    )
    return rows.all()


def _changed(statement: TextClause, words: str, others: str) -> TextClause:
    assert words in statement.text, "the guard stands elsewhere now"
    return text(statement.text.replace(words, others))


def replace_everywhere(original: object, replacement: object) -> None:
    """In every module that has imported it by name."""
    for module in list(sys.modules.values()):
        for name in [name for name, value in vars(module).items() if value is original]:
            setattr(module, name, replacement)
