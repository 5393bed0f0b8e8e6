from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import Sessions
from app.notifications.models import Inbox, Notice


@dataclass(frozen=True, slots=True)
class Marks:
    """Numbers of one inbox: the oldest kept, the newest, the last acknowledged; 0 without any."""

    oldest: int
    head: int
    acked: int


async def marks_of(session: AsyncSession, person_id: UUID) -> Marks:
    inbox = await session.get(Inbox, person_id, populate_existing=True)
    if inbox is None:
        return Marks(0, 0, 0)
    oldest = await session.scalar(select(func.min(Notice.seq)).where(Notice.person_id == person_id))
    return Marks(oldest or 0, inbox.head_seq, inbox.acked_seq)


async def notices_after(
    session: AsyncSession, person_id: UUID, after: int, limit: int
) -> Sequence[Notice]:
    """At most `limit` notices with a greater number, in order."""
    rows = await session.scalars(
        select(Notice)
        .where(Notice.person_id == person_id, Notice.seq > after)
        .order_by(Notice.seq)
        .limit(limit)
    )
    return rows.all()


async def marks_of_many(sessions: Sessions, people: Sequence[UUID]) -> list[Marks]:
    """The marks of many inboxes, in the order of the question."""
    rows = await sessions.rows(_MARKS, {"people": list(people)})
    found = {row.person_id: Marks(row.oldest or 0, row.head_seq, row.acked_seq) for row in rows}
    return [found.get(person, Marks(0, 0, 0)) for person in people]


async def newer_of_many(
    sessions: Sessions, asked: Sequence[tuple[UUID, int]]
) -> list[list[Row[Any]]]:
    """Of each (person, number) at most `NEWER` later notices in order, as the stream sends them."""
    people, after = [person for person, _ in asked], [seq for _, seq in asked]
    answers: list[list[Row[Any]]] = [[] for _ in asked]
    for row in await sessions.rows(_NEWER, {"people": people, "after": after}):
        answers[row.place - 1].append(row)
    return answers


async def behind(sessions: Sessions, asked: Sequence[tuple[UUID, int]]) -> set[UUID]:
    """Who has later notices than the number given."""
    people, after = [person for person, _ in asked], [seq for _, seq in asked]
    rows = await sessions.rows(_BEHIND, {"people": people, "after": after})
    return {row.person_id for row in rows}


async def notices_of(
    session: AsyncSession, incident_id: UUID, after: tuple[int, UUID] | None, limit: int
) -> Sequence[Notice]:
    """Limit + 1 notices of one matter after `(event id, person id)`, in order of events."""
    key = tuple_(Notice.event_id, Notice.person_id)
    query = select(Notice).where(Notice.incident_id == incident_id)
    if after is not None:
        query = query.where(key > after)
    rows = await session.scalars(query.order_by(Notice.event_id, Notice.person_id).limit(limit + 1))
    return rows.all()


NEWER = 50
_ASKED = "unnest(CAST(:people AS uuid[]), CAST(:after AS bigint[]))"
_NEWER = text(
    f"""
    SELECT a.place, n.seq, n.type, n.incident_id, n.number, n.state, n.title, n.body, n.at,
      n.acked_at, n.delivered_at
    FROM {_ASKED} WITH ORDINALITY AS a (person_id, after, place)
    CROSS JOIN LATERAL (
      SELECT * FROM notices WHERE person_id = a.person_id AND seq > a.after
      ORDER BY seq LIMIT {NEWER}) n
    ORDER BY a.place, n.seq
    """  # noqa: S608 - constants of this module
)
_BEHIND = text(
    f"""
    SELECT a.person_id FROM {_ASKED} AS a (person_id, after)
    JOIN inboxes i ON i.person_id = a.person_id AND i.head_seq > a.after
    """  # noqa: S608 - constants of this module
)
_MARKS = text(
    """
    SELECT i.person_id, i.head_seq, i.acked_seq,
      (SELECT min(seq) FROM notices n WHERE n.person_id = i.person_id) AS oldest
    FROM inboxes i WHERE i.person_id = ANY(:people)
    """
)
