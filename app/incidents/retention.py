"""Retention: what has served its time is erased, by category, unless a legal hold keeps it.

Files go 24 months after the matter ended, people's data (raiser, parties) after 12; figures, texts
and the chain of the history stay. The periods are settings, and data where a category differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import Row, delete, text
from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import audit
from app.core.resources import Resources
from app.core.settings import RetentionSettings
from app.incidents.kept import LegalHold
from app.incidents.status import ENDED
from app.media.erasing import erase
from app.media.storing import remove

_BATCH = 200

_DUE = text("""
    WITH ended AS (
      SELECT i.id, i.number, i.raiser, i.parties, coalesce(i.closed_at, (
          SELECT max(h.at) FROM history_entries h WHERE h.incident_id = i.id)) AS at,
        coalesce(p.media_months, :media_months) AS media_months,
        coalesce(p.parties_months, :parties_months) AS parties_months
      FROM incidents i
      LEFT JOIN LATERAL (
        SELECT r.media_months, r.parties_months FROM retention_periods r
        WHERE starts_with(i.category, r.category) ORDER BY length(r.category) DESC LIMIT 1
      ) p ON true
      WHERE i.state = ANY(:ended)
        AND i.received_at <= :now - make_interval(months => CAST(least(:shortest,
          (SELECT min(least(media_months, parties_months)) FROM retention_periods)) AS int))
        AND NOT EXISTS (SELECT FROM legal_holds l WHERE l.incident_id = i.id)
    ), due AS (
      SELECT e.id, e.number,
        ARRAY(SELECT f.id FROM incident_media m JOIN media_files f ON f.id = m.media_id
          WHERE m.incident_id = e.id AND f.state <> 'erased'
            AND e.at + make_interval(months => CAST(e.media_months AS int)) <= :now) AS files,
        (e.raiser IS NOT NULL OR e.parties <> '[]'::jsonb)
          AND e.at + make_interval(months => CAST(e.parties_months AS int)) <= :now AS people
      FROM ended e
    )
    SELECT id, number, files, people FROM due WHERE cardinality(files) > 0 OR people
    ORDER BY id LIMIT :most""")

_FORGET_PEOPLE = text(
    "UPDATE incidents SET raiser = NULL, parties = '[]'::jsonb WHERE id = ANY(:ids)"
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Due:
    """What of one matter has served its time."""

    incident_id: UUID
    number: str
    file_ids: tuple[UUID, ...]
    people: bool


async def due(
    session: AsyncSession, settings: RetentionSettings, now: datetime, most: int | None = None
) -> list[Due]:
    """In the order of reporting; nothing is changed (`etong media retention --dry-run`)."""
    rows: Sequence[Row[UUID, str, list[UUID], bool]] = (
        await session.execute(
            _DUE,
            {
                "media_months": settings.media_months,
                "parties_months": settings.parties_months,
                "shortest": min(settings.media_months, settings.parties_months),
                "ended": [state.value for state in ENDED],
                "now": now,
                "most": most,
            },
        )
    ).all()
    return [Due(row.id, row.number, tuple(row.files), row.people) for row in rows]


async def retain(resources: Resources) -> int:
    """Erase what is due, a batch a transaction. Returns the files that went."""
    files = 0
    while batch := await _erase_batch(resources):
        files += sum(len(each.file_ids) for each in batch)
    return files


async def hold(session: AsyncSession, incident_id: UUID, reason: str, at: datetime) -> None:
    """Keep everything of a matter until `lift`."""
    await session.execute(
        insert_once(LegalHold)
        .values(incident_id=incident_id, reason=reason, placed_at=at)
        .on_conflict_do_nothing()
    )
    target = ("incident", incident_id)
    await audit.note(session, at=at, actor_id=None, action="legal_hold.place", target=target)


async def lift(session: AsyncSession, incident_id: UUID, at: datetime) -> None:
    await session.execute(delete(LegalHold).where(LegalHold.incident_id == incident_id))
    target = ("incident", incident_id)
    await audit.note(session, at=at, actor_id=None, action="legal_hold.lift", target=target)


async def _erase_batch(resources: Resources) -> list[Due]:
    now = resources.clock.now()
    async with resources.sessions.begin() as session:
        batch = await due(session, resources.settings.retention, now, _BATCH)
        keys = await erase(session, [id_ for each in batch for id_ in each.file_ids])
        people = [each.incident_id for each in batch if each.people]
        await session.execute(_FORGET_PEOPLE, {"ids": people})
        for each in batch:
            await audit.note(
                session,
                at=now,
                actor_id=None,
                action="retention.erase",
                target=("incident", each.incident_id),
                files=len(each.file_ids),
                people=each.people,
            )
    await remove(resources, keys)
    if batch:
        log.info("erased", incidents=len(batch), objects=len(keys))
    return batch
