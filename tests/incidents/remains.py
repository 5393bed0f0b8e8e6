"""What an attempt leaves behind: rows, objects, unfinished multipart uploads."""

import asyncio
from dataclasses import dataclass

from sqlalchemy import func, select

from app.core.events import OutboxRow
from app.incidents.models import HistoryEntry, Incident, IncidentMedia, Supplement
from app.media.models import MediaFile
from tests.district import District

_TABLES = (Incident, IncidentMedia, MediaFile, HistoryEntry, OutboxRow, Supplement)
_SOON_S = 10.0


@dataclass(frozen=True)
class Remains:
    rows: tuple[int, ...]
    objects: frozenset[str]
    uploads: frozenset[str]


async def remains(district: District) -> Remains:
    async with district.resources.sessions.read() as session:
        counts = [await session.scalar(select(func.count()).select_from(t)) for t in _TABLES]
    store = district.store
    return Remains(
        tuple(count or 0 for count in counts), frozenset(store.objects), frozenset(store.uploads)
    )


async def only(district: District, wanted: Remains) -> bool:
    """Whether nothing beyond `wanted` is there, once what was under way has been cleared."""
    try:
        async with asyncio.timeout(_SOON_S):
            while await remains(district) != wanted:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)
    except TimeoutError:
        return False
    return True
