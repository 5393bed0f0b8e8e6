"""Jobs: slow work of one object each, kept by procrastinate as rows of our own database.

A job joins the transaction that makes it necessary (`defer`) and carries an id, never an object or
a secret. procrastinate claims it, tries it again and deletes it when it is done; its trigger that
notifies at every insert is off (it halves what the database takes in), so workers ask.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

import structlog
from procrastinate import App, BaseRetryStrategy, PsycopgConnector, RetryDecision
from procrastinate.exceptions import ProcrastinateException
from procrastinate.jobs import Job as Row
from psycopg_pool import PoolTimeout
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.object_store import StoreUnavailable
from app.core.resources import Resources

TRIES = 10
"""Of a job that fails for a reason nobody foresaw; one whose store is down is tried for ever."""
_LONGEST_WAIT_S = 300
_RESCUE_EVERY_S = 30.0
_AGAIN_S = 2.0
_END_S = 3.0
_QUEUE = "files"

_DEFER = text("""
    SELECT procrastinate_defer_jobs_v1(array_agg(CAST(ROW(
        CAST(:queue AS varchar), CAST(:task AS varchar), 0, CAST(:task AS text) || ':' || id, NULL,
        jsonb_build_object('id', id), NULL) AS procrastinate_job_to_defer_v1)))
    FROM unnest(CAST(:ids AS text[])) AS id""")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """A kind of work; `run` opens its own transactions. `name` is stored and never changes."""

    name: str
    run: Callable[[Resources, UUID], Awaitable[None]]


async def defer(session: AsyncSession, name: str, ids: Iterable[UUID]) -> None:
    """One job of this kind for each id, in this transaction; two of one id never run at once."""
    wanted = [str(id_) for id_ in ids]
    if wanted:
        await session.execute(_DEFER, {"queue": _QUEUE, "task": name, "ids": wanted})


async def work(resources: Resources, jobs: Iterable[Job], stop: asyncio.Event) -> None:
    """Work off what is due until told to stop; a lost database is waited for."""
    kinds = tuple(jobs)
    while not stop.is_set():
        try:
            async with _opened(resources, kinds) as app:
                await _until(stop, app)
        except (ProcrastinateException, PoolTimeout, OSError) as lost:
            log.warning("jobs_reconnect", error=type(lost).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _AGAIN_S)


async def drain(resources: Resources, jobs: Iterable[Job]) -> None:
    """Work off everything that is due now, once (tests, `etong drain`)."""
    async with _opened(resources, jobs) as app:
        await _rescue(app)
        await _worker(app, wait=False)


async def retry_failed(resources: Resources) -> int:
    """Make every job that was given up due again. Returns how many."""
    async with _opened(resources, ()) as app:
        failed = await app.job_manager.list_jobs_async(status="failed")
        for job_id in filter(None, (job.id for job in failed)):
            await app.job_manager.retry_job_by_id_async(job_id, retry_at=resources.clock.now())
        return len(list(failed))


@asynccontextmanager
async def _opened(resources: Resources, jobs: Iterable[Job]) -> AsyncIterator[App]:
    settings = resources.settings.database
    url = settings.url.get_secret_value().replace("+psycopg", "", 1)
    concurrency = resources.settings.jobs.concurrency
    connector = PsycopgConnector(
        conninfo=url,
        min_size=1,
        max_size=concurrency + 2,
        timeout=settings.pool_timeout_s,
        kwargs={
            "prepare_threshold": settings.prepare_threshold,
            "application_name": "etong-jobs",
            "connect_timeout": 5,
        },
    )
    app = App(
        connector=connector,
        worker_defaults={
            "concurrency": concurrency,
            "fetch_job_polling_interval": resources.settings.jobs.poll_s,
            "shutdown_graceful_timeout": _END_S,
        },
    )
    for job in jobs:
        app.task(name=job.name, retry=_Patience())(_task(resources, job))
    async with app.open_async():
        yield app


def _task(resources: Resources, job: Job) -> Callable[[str], Awaitable[None]]:
    async def run(id: str) -> None:  # noqa: A002 - the job's own word for it
        await job.run(resources, UUID(id))

    return run


async def _until(stop: asyncio.Event, app: App) -> None:
    stopping = asyncio.create_task(stop.wait())
    working = asyncio.create_task(_worker(app, wait=True))
    rescuing = asyncio.create_task(_keep_rescuing(app))
    try:
        await asyncio.wait({stopping, working, rescuing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (stopping, working, rescuing):
            task.cancel()
        ended = await asyncio.gather(stopping, working, rescuing, return_exceptions=True)
    for failure in ended:
        if isinstance(failure, Exception):
            raise failure


async def _worker(app: App, *, wait: bool) -> None:
    await app.run_worker_async(
        queues=[_QUEUE],
        wait=wait,
        listen_notify=False,
        install_signal_handlers=False,
        delete_jobs="successful",
    )


async def _keep_rescuing(app: App) -> None:
    while True:
        await asyncio.sleep(_RESCUE_EVERY_S)
        await _rescue(app)


async def _rescue(app: App) -> None:
    """Jobs whose worker was killed are due again."""
    for job in await app.job_manager.get_stalled_jobs():
        log.warning("job_rescued", job=job.task_name, job_id=job.id)
        await app.job_manager.retry_job(job)


class _Patience(BaseRetryStrategy):
    """Again after 2, 4, 8 … 300 seconds."""

    def get_retry_decision(self, *, exception: BaseException, job: Row) -> RetryDecision | None:
        unforeseen = not isinstance(exception, (StoreUnavailable, asyncio.CancelledError))
        if unforeseen and job.attempts + 1 >= TRIES:
            return None
        return RetryDecision(
            retry_in={"seconds": min(2 ** min(job.attempts + 1, 9), _LONGEST_WAIT_S)}
        )
