"""At most two streams a device, the newest (P13), whichever process serves them."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from app.core.db import Sessions

MOST = 2
_FORGOTTEN_AFTER = timedelta(minutes=15)
"""Longer than any stream lives: what a killed process left behind."""

_OPEN = text("""
    INSERT INTO open_streams (id, device, opened_at)
    SELECT * FROM unnest(
      CAST(:ids AS uuid[]), CAST(:devices AS text[]), CAST(:times AS timestamptz[]))""")
_CLOSE = text("DELETE FROM open_streams WHERE id = ANY(:ids) OR opened_at < :forgotten")
_SUPERFLUOUS = text("""
    SELECT id, device FROM (
      SELECT id, device, row_number() OVER (
        PARTITION BY device ORDER BY opened_at DESC, id DESC) AS place
      FROM open_streams WHERE device = ANY(:devices)) ranked
    WHERE place > :most""")


async def note_open(
    sessions: Sessions, streams: Sequence[tuple[UUID, str]], at: datetime
) -> dict[UUID, str]:
    """Write down streams as (id, device). Returns those that are too many now, with their device.

    Two processes that do this at the same moment may both miss one: `superfluous` finds it later.
    """
    ids, devices = [id_ for id_, _ in streams], [device for _, device in streams]
    async with sessions.begin() as session:
        await session.execute(_OPEN, {"ids": ids, "devices": devices, "times": [at] * len(ids)})
        rows = (await session.execute(_SUPERFLUOUS, {"devices": devices, "most": MOST})).all()
    return {row.id: row.device for row in rows}


async def superfluous(sessions: Sessions, devices: Collection[str]) -> set[UUID]:
    """Streams of these devices that are older than the newest two."""
    return {
        row.id
        for row in await sessions.rows(_SUPERFLUOUS, {"devices": list(devices), "most": MOST})
    }


async def note_closed(sessions: Sessions, ids: Collection[UUID], now: datetime) -> None:
    """Forget these, and what nobody closed."""
    forgotten = now - _FORGOTTEN_AFTER
    async with sessions.begin() as session:
        await session.execute(_CLOSE, {"ids": list(ids), "forgotten": forgotten})
