from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

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
