"""Long exports: rows with a state that a worker takes, one at a time, and makes files of."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from app.accounts.caller import Caller
from app.accounts.permissions import Permission
from app.accounts.recognition import load_caller
from app.areas.locate import current_map
from app.categories.queries import current_tree
from app.core.errors import InternalError, Problem, Unavailable
from app.core.object_store import StoreUnavailable
from app.core.resources import Resources
from app.core.wakeups import listening
from app.incidents import exporting
from app.incidents.list_models import IncidentExport
from app.incidents.list_schemas import Filters
from app.incidents.narrowing import Asking

LEASE = timedelta(seconds=120)
"""A worker that has not been heard of for so long is dead: another one begins anew."""
TRIES = 3
KEPT = timedelta(hours=24)
MOST_LINES = 1_000_000
"""More than a sheet of a workbook holds are never asked for."""
POLL_S = 2.0
_PART_BYTES = 8 * 1024 * 1024
_LOST = (SQLAlchemyError, StoreUnavailable, OSError)
TOPIC = "exports"

log = structlog.get_logger()


class ExportMaker:
    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def run(self, stop: asyncio.Event) -> None:
        with listening(self._resources.wakeups, TOPIC) as waiter:
            while not stop.is_set():
                try:
                    worked = await self._next()
                except _LOST as lost:
                    # the row is taken again when its lease is over
                    log.warning("export_put_off", error=type(lost).__name__)
                    worked = False
                if not worked:
                    await waiter.wait(POLL_S)

    async def drain(self) -> int:
        """Make everything that waits. Returns how many."""
        count = 0
        while await self._next():
            count += 1
        return count

    async def _next(self) -> bool:
        taken = await self._take()
        if taken is None:
            return False
        if taken.tries > TRIES:  # each time its worker died of it
            log.error("export_given_up", export_id=str(taken.id))
            await self._fail(taken, InternalError.code)
            return True
        try:
            await self._make(taken)
        except Problem as refused:
            # signed out, or no longer allowed: nobody may have what was asked for
            log.info("export_refused", export_id=str(taken.id), code=refused.code)
            await self._fail(taken, refused.code)
        except _LOST:
            if taken.tries < TRIES:
                raise
            log.exception("export_given_up", export_id=str(taken.id))
            await self._fail(taken, Unavailable.code)
        except Exception:
            # a bug fails this one export and no other; whoever asked is told, and so are we
            log.exception("export_failed", export_id=str(taken.id))
            await self._fail(taken, InternalError.code)
        return True

    async def _fail(self, row: IncidentExport, code: str) -> None:
        await self._mark(row.id, state="failed", code=code, due_at=None, finished_at=self._now())

    async def _take(self) -> IncidentExport | None:
        async with self._resources.sessions.begin() as session:
            row: IncidentExport | None = await session.scalar(
                select(IncidentExport)
                .where(IncidentExport.due_at <= self._now())
                .order_by(IncidentExport.due_at)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            if row is not None:
                row.state, row.due_at = "running", self._now() + LEASE
                row.tries += 1
        return row

    async def _make(self, row: IncidentExport) -> None:
        """With the rights of the asker as they are now. Raises SessionEnded."""
        caller = await self._caller(row)
        asking = await self._asking(caller)
        form: exporting.Format = "xlsx" if row.format == "xlsx" else "csv"
        lines = exporting.rows(
            self._resources, asking, Filters.model_validate(row.filters), MOST_LINES
        )

        async def progress(done: int) -> None:
            await self._mark(row.id, done=done, due_at=self._now() + LEASE)

        made = await exporting.written(lines, form, progress)
        try:
            size = await self._keep(row, made)
        finally:
            made.unlink(missing_ok=True)
        key = _key(row)
        done_at = self._now()
        await self._mark(
            row.id, state="done", due_at=None, object_key=key, size=size, finished_at=done_at
        )

    async def _caller(self, row: IncidentExport) -> Caller:
        async with self._resources.sessions.read() as session:
            caller = await load_caller(session, row.session_id, self._now())
        # whoever has lost the right to read gets an empty export by scope, and no names by role
        return caller if caller.may(Permission.READ_INCIDENTS) else replace(caller, holdings=())

    async def _asking(self, caller: Caller) -> Asking:
        areas = await current_map(self._resources)
        return Asking(caller, self._now(), areas, await current_tree(self._resources))

    async def _keep(self, row: IncidentExport, made: Path) -> int:
        """Into the object store, in parts; a second attempt writes the same object anew."""
        store, key = self._resources.store, _key(row)
        size = (await asyncio.to_thread(made.stat)).st_size
        kind = exporting.XLSX if row.format == "xlsx" else exporting.CSV
        if size <= _PART_BYTES:
            await store.put(key, await asyncio.to_thread(made.read_bytes), kind)
            return size
        upload = await store.start_parts(key, kind)
        tags: dict[int, str] = {}
        with made.open("rb") as file:
            while part := await asyncio.to_thread(file.read, _PART_BYTES):
                number = len(tags) + 1
                tags[number] = await store.put_part(key, upload, number, part)
        await store.complete_parts(key, upload, tags)
        return size

    async def _mark(self, export_id: UUID, **values: object) -> None:
        async with self._resources.sessions.begin() as session:
            await session.execute(
                update(IncidentExport).where(IncidentExport.id == export_id).values(**values)
            )

    def _now(self) -> datetime:
        return self._resources.clock.now()


async def prune_exports(resources: Resources) -> None:
    """Files first, rows after: a row that is left names a file that may be gone, and is next."""
    before = resources.clock.now() - KEPT
    async with resources.sessions.read() as session:
        old = (
            await session.execute(
                select(IncidentExport.id, IncidentExport.object_key).where(
                    IncidentExport.created_at < before
                )
            )
        ).all()
    await resources.store.delete([row.object_key for row in old if row.object_key])
    async with resources.sessions.begin() as session:
        await session.execute(
            delete(IncidentExport).where(IncidentExport.id.in_([row.id for row in old]))
        )


def _key(row: IncidentExport) -> str:
    return f"exports/{row.id}.{row.format}"
