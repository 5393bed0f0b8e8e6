"""Imports in the background: each a task of this process and a row that shows how far it is."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from app.areas.importing import ImportReport, import_areas
from app.areas.locate import MapKeeper
from app.areas.models import AreaImport
from app.core.audit import note
from app.core.db import Json, new_id
from app.core.errors import TooManyRequests
from app.core.resources import Resources

LEASE = timedelta(seconds=60)
"""An unfinished import whose process has not been heard of for so long is dead."""
_BEAT_S = 15.0
_MOST_WAITING = 4

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Submitted:
    """The content of an import, and who asked for it."""

    rows: str | bytes
    geometries: Sequence[Json] = field(default_factory=tuple)
    by: UUID | None = None


class AreaImports:
    """The imports of this process: `resources.the(AreaImports)`."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, submitted: Submitted) -> UUID:
        """Commit the import's row, then begin; returns its id. Raises TooManyRequests."""
        if len(self._tasks) >= _MOST_WAITING:
            raise TooManyRequests(headers={"Retry-After": "30"})
        import_id = await self._queue(submitted)
        # the task starts only when its row can be seen; the set keeps it from the collector
        task = asyncio.create_task(self._run(import_id, submitted), name=f"import {import_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return import_id

    async def settle(self) -> None:
        """Wait until every import of this process has ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop at once: what was not committed is rolled back and will show as interrupted."""
        for task in self._tasks:
            task.cancel()
        await self.settle()

    async def _queue(self, submitted: Submitted) -> UUID:
        now = self._resources.clock.now()
        row = AreaImport(
            id=new_id(),
            state="queued",
            done=0,
            total=0,
            created_by=submitted.by,
            created_at=now,
            beat_at=now,
        )
        async with self._resources.sessions.begin() as session:
            session.add(row)
        return row.id

    async def _run(self, import_id: UUID, submitted: Submitted) -> None:
        beat = asyncio.create_task(self._beat(import_id))
        try:
            async with self._turn:
                await self._mark(import_id, state="running")
                await self._import(import_id, submitted)
        except Exception:  # the edge of a task: nobody above would hear of it
            log.exception("area_import_failed", import_id=str(import_id))
            # without a database the row can't say so; it shows as interrupted after its lease
            with suppress(SQLAlchemyError, OSError):
                await self._mark(import_id, state="failed", finished_at=self._resources.clock.now())
        finally:
            beat.cancel()
            with suppress(asyncio.CancelledError):
                await beat

    async def _import(self, import_id: UUID, submitted: Submitted) -> None:
        now = self._resources.clock.now()
        async with self._resources.sessions.begin() as session:
            report = await import_areas(
                session,
                submitted.rows,
                submitted.geometries,
                at=now,
                progress=partial(self._progress, import_id),
            )
            await session.execute(_ended(import_id, report, self._resources.clock.now()))
            await note(
                session,
                at=now,
                actor_id=submitted.by,
                action="areas.import_refused" if report.errors else "areas.imported",
                target=("area_import", import_id),
                created=report.created,
                changed=report.changed,
                unchanged=report.unchanged,
                errors=len(report.errors),
            )
        self._resources.the(MapKeeper).expire()

    async def _progress(self, import_id: UUID, done: int, total: int) -> None:
        await self._mark(import_id, done=done, total=total)

    async def _beat(self, import_id: UUID) -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            try:
                await self._mark(import_id)
            except Exception as failure:  # noqa: BLE001 - the next beat may succeed
                log.warning("area_import_beat_lost", error=type(failure).__name__)

    async def _mark(self, import_id: UUID, **values: Any) -> None:  # noqa: ANN401 - columns
        """In a transaction of its own, so that it shows while the import's is still open."""
        values["beat_at"] = self._resources.clock.now()
        async with self._resources.sessions.begin() as session:
            await session.execute(
                update(AreaImport).where(AreaImport.id == import_id).values(**values)
            )


def _ended(import_id: UUID, report: ImportReport, at: datetime) -> Any:  # noqa: ANN401 - a statement
    return (
        update(AreaImport)
        .where(AreaImport.id == import_id)
        .values(
            state="failed" if report.errors else "done",
            report=report.as_json(),
            finished_at=at,
            beat_at=at,
        )
    )
