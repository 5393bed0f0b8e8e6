"""Dry runs in the background: each a task of this process and a row that tells how far it is."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import structlog
from pydantic_core import to_jsonable_python
from sqlalchemy import delete, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.areas.locate import current_map
from app.core.audit import note
from app.core.db import new_id
from app.core.errors import TooManyRequests
from app.core.resources import Resources
from app.routing.dry_run import Question, compare
from app.routing.models import DryRun
from app.routing.schemas import DryRunView

LEASE = timedelta(seconds=60)
"""A running one whose process has not been heard of for so long is dead."""
KEPT = timedelta(days=30)
_MOST_RUNNING = 2
_PATIENCE_S = 2.0
"""So long an answer waits for the end before it says 202."""

log = structlog.get_logger()


class DryRuns:
    """The dry runs of this process: `resources.the(DryRuns)`."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._tasks: set[asyncio.Task[None]] = set()
        self._examined: dict[UUID, int] = {}

    async def start(self, question: Question, by: UUID) -> UUID:
        """Begin, and wait a little; returns its id. Raises TooManyRequests."""
        if len(self._tasks) >= _MOST_RUNNING:
            raise TooManyRequests(headers={"Retry-After": "10"})
        run_id = await self._write_down(question, by)
        # the set keeps the task from the collector
        task = asyncio.create_task(self._run(run_id, question), name=f"dry run {run_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait({task}, timeout=_PATIENCE_S)
        return run_id

    async def close(self) -> None:
        """Stop at once: what was running shows as interrupted."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write_down(self, question: Question, by: UUID) -> UUID:
        now = self._resources.clock.now()
        run = DryRun(
            id=new_id(), state="running", examined=0, created_by=by, created_at=now, beat_at=now
        )
        async with self._resources.sessions.begin() as session:
            await session.execute(delete(DryRun).where(DryRun.created_at < now - KEPT))
            session.add(run)
            await note(
                session,
                at=now,
                actor_id=by,
                action="routing_rules.tried",
                target=("dry_run", run.id),
                rules=len(question.changed),
                since=to_jsonable_python(question.since),
            )
        return run.id

    async def _run(self, run_id: UUID, question: Question) -> None:
        beat = asyncio.create_task(self._beat(run_id))
        try:
            areas = await current_map(self._resources)
            async with self._resources.sessions.read() as session:
                examined, report = await compare(
                    session, areas, question, lambda done: self._tell(run_id, done)
                )
            told = report.model_dump(mode="json")
            await self._mark(run_id, state="done", examined=examined, report=told)
        except Exception:  # the edge of a task: nobody above would hear of it
            log.exception("dry_run_failed", dry_run_id=str(run_id))
            # without a database the row can't say so; it shows as interrupted after its lease
            with suppress(SQLAlchemyError, OSError):
                await self._mark(run_id, state="failed")
        finally:
            self._examined.pop(run_id, None)
            beat.cancel()
            with suppress(asyncio.CancelledError):
                await beat

    def _tell(self, run_id: UUID, examined: int) -> None:
        self._examined[run_id] = examined

    async def _beat(self, run_id: UUID) -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 4)
            try:
                await self._mark(run_id, examined=self._examined.get(run_id, 0))
            except (SQLAlchemyError, OSError) as failure:
                log.warning("dry_run_beat_lost", error=type(failure).__name__)

    async def _mark(self, run_id: UUID, **values: object) -> None:
        now = self._resources.clock.now()
        ended = {"finished_at": now} if "state" in values else {}
        async with self._resources.sessions.begin() as session:
            await session.execute(
                update(DryRun).where(DryRun.id == run_id).values(**values, **ended, beat_at=now)
            )


async def dry_run_view(
    session: AsyncSession, resources: Resources, run_id: UUID, by: UUID
) -> DryRunView | None:
    """None for somebody else's."""
    run = await session.get(DryRun, run_id)
    if run is None or run.created_by != by:
        return None
    dead = run.state == "running" and resources.clock.now() - run.beat_at > LEASE
    view = DryRunView.model_validate(run)
    return view.model_copy(update={"state": "interrupted"}) if dead else view
