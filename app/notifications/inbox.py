"""Writing notices: many at once, numbered without gaps, each event once a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy import delete, func, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.notifications.messages import Message
from app.notifications.models import Inbox, Notice, Reminder

_WRITE = text(
    """
    WITH told AS (
      SELECT * FROM jsonb_to_recordset(CAST(:drafts AS jsonb)) AS d (
        position int, person_id uuid, event_id bigint, type text, incident_id uuid,
        number text, state text, title text, body text, at timestamptz, remind_at timestamptz)
    ), once AS (
      SELECT DISTINCT ON (person_id, event_id) * FROM told ORDER BY person_id, event_id, position
    ), fresh AS (
      SELECT o.*, row_number() OVER (PARTITION BY person_id ORDER BY position) AS place
      FROM once o
      WHERE NOT EXISTS (
        SELECT FROM notices n WHERE n.event_id = o.event_id AND n.person_id = o.person_id)
    ), counted AS (
      SELECT person_id, count(*) AS notices FROM fresh GROUP BY person_id ORDER BY person_id
    ), heads AS (
      INSERT INTO inboxes AS i (person_id, head_seq)
      SELECT person_id, notices FROM counted ORDER BY person_id
      ON CONFLICT (person_id) DO UPDATE SET head_seq = i.head_seq + excluded.head_seq
      RETURNING person_id, head_seq
    ), numbered AS (
      INSERT INTO notices
        (person_id, seq, event_id, type, incident_id, number, state, title, body, at)
      SELECT f.person_id, h.head_seq - c.notices + f.place, f.event_id, f.type, f.incident_id,
        f.number, f.state, f.title, f.body, f.at
      FROM fresh f JOIN counted c USING (person_id) JOIN heads h USING (person_id)
      RETURNING person_id, seq, event_id
    ), insistent AS (
      INSERT INTO reminders (person_id, seq, due_at)
      SELECT n.person_id, n.seq, f.remind_at
      FROM numbered n JOIN fresh f USING (person_id, event_id) WHERE f.remind_at IS NOT NULL
    )
    SELECT DISTINCT person_id FROM numbered
    """
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A notice before it has its number."""

    person_id: UUID
    event_id: int
    type: str
    incident_id: UUID | None
    number: str
    state: str
    message: Message
    at: datetime
    remind_at: datetime | None = None
    """When its person is reminded first, if it must be seen."""


def subject(person_id: UUID) -> str:
    """What a waiting client of this person listens to."""
    return f"inbox:{person_id}"


async def write(session: AsyncSession, drafts: Sequence[Draft]) -> set[str]:
    """Number and write the drafts, in their order per person. Returns the subjects to wake.

    One statement takes each person's counter under its row lock, persons in order. A person who
    was told of an event already is not told again.
    """
    if not drafts:
        return set()
    rows = [
        {
            "position": position,
            "person_id": draft.person_id,
            "event_id": draft.event_id,
            "type": draft.type,
            "incident_id": draft.incident_id,
            "number": draft.number,
            "state": draft.state,
            "title": draft.message.title,
            "body": draft.message.body,
            "at": draft.at,
            "remind_at": draft.remind_at,
        }
        for position, draft in enumerate(drafts)
    ]
    told = await session.scalars(_WRITE, {"drafts": orjson.dumps(rows).decode()})
    return {subject(person_id) for person_id in told}


async def ack(session: AsyncSession, person_id: UUID, up_to: int, at: datetime) -> int:
    """Mark notices up to a number as seen; never backwards, never beyond. Returns the mark."""
    inbox = await session.get(Inbox, person_id, with_for_update=True)
    if inbox is None:
        return 0
    wanted = min(up_to, inbox.head_seq)
    if wanted > inbox.acked_seq:
        inbox.acked_seq = wanted
        await session.execute(
            update(Notice)
            .where(Notice.person_id == person_id, Notice.seq <= wanted, Notice.acked_at.is_(None))
            .values(acked_at=at, delivered_at=func.coalesce(Notice.delivered_at, at))
            .execution_options(synchronize_session=False)
        )
        await session.execute(
            delete(Reminder).where(Reminder.person_id == person_id, Reminder.seq <= wanted)
        )
    return inbox.acked_seq
