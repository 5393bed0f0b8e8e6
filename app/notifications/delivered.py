"""What was streamed or pulled: noted as it happens, written a little later and many at once (P15).

A process that is killed loses a second of these notes; the acknowledgement says it again.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row, text
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import OutcomeUnknown
from app.core.resources import Resources
from app.notifications.models import Notice

EVERY_S = 0.5
_BATCH = 1_000

log = structlog.get_logger()

_MARK = text(
    """
    WITH seen AS (
      SELECT n.person_id, n.seq, s.at
      FROM unnest(
        CAST(:people AS uuid[]), CAST(:seqs AS bigint[]), CAST(:times AS timestamptz[])
      ) AS s (person_id, seq, at)
      JOIN notices n ON n.person_id = s.person_id AND n.seq = s.seq
      WHERE n.delivered_at IS NULL
      FOR UPDATE OF n SKIP LOCKED  -- who holds one is acknowledging it, which says more
    )
    UPDATE notices n SET delivered_at = seen.at FROM seen
    WHERE n.person_id = seen.person_id AND n.seq = seen.seq
    """
)


class Delivered:
    """The notes of one process. Get it with `resources.the(Delivered)`."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._noted: dict[tuple[UUID, int], datetime] = {}
        self._writing: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    def note(self, person_id: UUID, seqs: Iterable[int]) -> None:
        now = self._resources.clock.now()
        for seq in seqs:
            self._noted.setdefault((person_id, seq), now)
        if self._noted and self._writing is None:
            self._writing = asyncio.create_task(self._write_soon(), name="delivered")

    async def write(self) -> None:
        """Write what was noted; what can't be written now is tried again with the next."""
        async with self._one_at_a_time:
            while batch := list(self._noted.items())[:_BATCH]:
                people, seqs, times = _columns(batch)
                async with self._resources.sessions.begin() as session:
                    await session.execute(_MARK, {"people": people, "seqs": seqs, "times": times})
                for key, _ in batch:
                    del self._noted[key]

    async def close(self) -> None:
        """Write the rest."""
        if self._writing is not None:
            self._writing.cancel()
            with suppress(asyncio.CancelledError):
                await self._writing
        await self._try()

    async def _write_soon(self) -> None:
        await asyncio.sleep(EVERY_S)
        await self._try()
        self._writing = None

    async def _try(self) -> None:
        try:
            await self.write()
        except (SQLAlchemyError, OutcomeUnknown, OSError) as lost:
            log.warning("delivered_unwritten", error=type(lost).__name__)


def note_delivered(
    resources: Resources, person_id: UUID, notices: Sequence[Notice] | Sequence[Row[Any]]
) -> None:
    """These have left for the person; the first time counts. Costs nothing now."""
    new = [notice.seq for notice in notices if notice.delivered_at is None]
    resources.the(Delivered).note(person_id, new)


def _columns(
    batch: Sequence[tuple[tuple[UUID, int], datetime]],
) -> tuple[list[UUID], list[int], list[datetime]]:
    return (
        [key[0] for key, _ in batch],
        [key[1] for key, _ in batch],
        [at for _, at in batch],
    )
