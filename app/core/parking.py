"""Parked reactions: what failed waits here for its next try, and its subject's later events too."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Index, delete, exists, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, aliased, mapped_column

from app.core.db import Model, one_of
from app.core.events import OutboxRow, Recorded, Waiting

TRIES = 5
UNREAD = "parse"
"""Stands where a reaction would, for an event that could not even be read."""
_WAITS = (timedelta(seconds=1), timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=10))
_ERROR_CHARACTERS = 500

log = structlog.get_logger()


class ParkedReaction(Model):
    __tablename__ = "parked_reactions"

    event_id: Mapped[int] = mapped_column(primary_key=True)
    reaction: Mapped[str] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID]
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime | None]
    """None: given up and flagged to staff."""
    error: Mapped[str]

    __table_args__ = (
        Index(
            "ix_parked_reactions_waiting",
            "subject_id",
            "reaction",
            "event_id",
            postgresql_where="next_attempt_at IS NOT NULL",
        ),
    )


async def waiting_pairs(session: AsyncSession, subjects: Collection[UUID]) -> set[tuple[str, UUID]]:
    """(reaction, subject) pairs behind which later events have to wait."""
    rows = await session.execute(
        select(ParkedReaction.reaction, ParkedReaction.subject_id).where(
            one_of(ParkedReaction.subject_id, set(subjects)),
            ParkedReaction.next_attempt_at.is_not(None),
        )
    )
    return {(row.reaction, row.subject_id) for row in rows}


async def park(
    session: AsyncSession,
    reaction: str,
    events: Sequence[Recorded[Any]],
    *,
    at: datetime,
    error: Exception | None = None,
) -> None:
    """Keep events for later: with an error after a first failed try, without one to wait behind."""
    if not events:
        return
    rows = [
        {
            "event_id": event.id,
            "reaction": reaction,
            "subject_id": event.event.subject_id,
            "attempts": 1 if error else 0,
            "next_attempt_at": at + _WAITS[0] if error else at,
            "error": repr(error)[:_ERROR_CHARACTERS] if error else "",
        }
        for event in events
    ]
    await session.execute(insert(ParkedReaction).values(rows).on_conflict_do_nothing())


async def skip(
    session: AsyncSession, row: Waiting, reaction: str, error: Exception, *, at: datetime
) -> None:
    """Flag a row that can't even be read."""
    del at  # the outbox row keeps the time
    await session.execute(
        insert(ParkedReaction)
        .values(
            event_id=row.id,
            reaction=reaction,
            subject_id=row.subject_id,
            attempts=TRIES,
            next_attempt_at=None,
            error=repr(error)[:_ERROR_CHARACTERS],
        )
        .on_conflict_do_nothing()
    )


async def due(
    session: AsyncSession, now: datetime, limit: int
) -> list[tuple[OutboxRow, ParkedReaction]]:
    """The oldest waiting event of each reaction and subject whose time has come."""
    earlier = aliased(ParkedReaction)
    rows = await session.execute(
        select(OutboxRow, ParkedReaction)
        .join(OutboxRow, OutboxRow.id == ParkedReaction.event_id)
        .where(
            ParkedReaction.next_attempt_at <= now,
            ~exists().where(
                earlier.subject_id == ParkedReaction.subject_id,
                earlier.reaction == ParkedReaction.reaction,
                earlier.event_id < ParkedReaction.event_id,
                earlier.next_attempt_at.is_not(None),
            ),
        )
        .order_by(ParkedReaction.event_id)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in rows]


async def failed_again(
    session: AsyncSession, parked: ParkedReaction, error: Exception, *, at: datetime
) -> None:
    """Wait longer each time; after the fifth try give up and say so."""
    parked.attempts += 1
    parked.error = repr(error)[:_ERROR_CHARACTERS]
    if parked.attempts >= TRIES:
        parked.next_attempt_at = None
        log.error("reaction_skipped", reaction=parked.reaction, event_id=parked.event_id)
    else:
        parked.next_attempt_at = at + _WAITS[parked.attempts - 1]
    await session.flush()


async def done(session: AsyncSession, parked: ParkedReaction) -> None:
    await session.execute(
        delete(ParkedReaction).where(
            ParkedReaction.event_id == parked.event_id,
            ParkedReaction.reaction == parked.reaction,
        )
    )


async def given_up(session: AsyncSession) -> list[tuple[OutboxRow, ParkedReaction]]:
    """What is flagged to staff, oldest event first."""
    rows = await session.execute(
        select(OutboxRow, ParkedReaction)
        .join(OutboxRow, OutboxRow.id == ParkedReaction.event_id)
        .where(ParkedReaction.next_attempt_at.is_(None))
        .order_by(ParkedReaction.event_id, ParkedReaction.reaction)
    )
    return [(row[0], row[1]) for row in rows]


async def republish(session: AsyncSession, ids: Collection[int], *, at: datetime) -> set[int]:
    """Have what was given up of these events tried again, five times. Returns whose there was some.

    Reactions that were done are not done again; an event that could not be read has them all.
    """
    flagged = ParkedReaction.next_attempt_at.is_(None), one_of(ParkedReaction.event_id, set(ids))
    unread = await session.scalars(
        delete(ParkedReaction)
        .where(*flagged, ParkedReaction.reaction == UNREAD)
        .returning(ParkedReaction.event_id)
    )
    anew = set(unread)
    await session.execute(
        update(OutboxRow).where(one_of(OutboxRow.id, anew)).values(processed_at=None)
    )
    again = await session.scalars(
        update(ParkedReaction)
        .where(*flagged)
        .values(attempts=0, next_attempt_at=at)
        .returning(ParkedReaction.event_id)
    )
    return anew | set(again)
