"""What the texts of a batch of events need, read once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Unit
from app.core.db import one_of
from app.core.events import Recorded
from app.incidents.events import IncidentEvent
from app.notifications.messages import Told

_WORDS = text(
    """
    SELECT h.incident_id, h.seq, h.reason, h.text
    FROM unnest(CAST(:incidents AS uuid[]), CAST(:seqs AS bigint[])) AS e (incident_id, seq)
    JOIN history_entries h ON h.incident_id = e.incident_id AND h.seq = e.seq
    """
)


@dataclass(frozen=True, slots=True)
class Background:
    """What the texts of a batch need, read once: unit names and the words of the history."""

    units: Mapping[UUID, str]
    words: Mapping[tuple[UUID, int], tuple[str | None, str | None]]

    def told(self, event: IncidentEvent) -> Told:
        unit_id = getattr(event, "unit_id", None) or getattr(event, "owner_unit_id", None)
        seq = getattr(event, "history_seq", 0)
        reason, words = self.words.get((event.incident_id, seq), (None, None))
        return Told(
            event.number,
            self.units.get(unit_id, "") if unit_id else "",
            # what a sealed matter says stays in the matter
            *((None, None) if event.sealed else (reason, words)),
            sealed=event.sealed,
        )


async def background_of(session: AsyncSession, events: Sequence[Recorded[Any]]) -> Background:
    found = [recorded.event for recorded in events]
    ids = {getattr(e, "unit_id", None) or getattr(e, "owner_unit_id", None) for e in found}
    units = await session.execute(select(Unit.id, Unit.name).where(one_of(Unit.id, ids - {None})))
    places = [(e.incident_id, seq) for e in found if (seq := getattr(e, "history_seq", None))]
    words = await session.execute(
        _WORDS,
        {"incidents": [place[0] for place in places], "seqs": [place[1] for place in places]},
    )
    return Background(
        {row.id: row.name for row in units},
        {(row.incident_id, row.seq): (row.reason, row.text) for row in words},
    )
