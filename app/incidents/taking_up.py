"""Taking up uploads that are whole but were left: the process that verified them is gone.

Their owner's next request would finish them too; a phone that has sent its last byte may not ask.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import structlog
from sqlalchemy import or_, select
from sqlalchemy.exc import SQLAlchemyError

from app.accounts.recognition import ended_sessions, load_caller
from app.accounts.sign_in_errors import SessionEnded
from app.core.errors import Problem
from app.core.object_store import StoreUnavailable
from app.core.resources import Resources
from app.incidents.adopting import adopt_all
from app.incidents.upload_work import conclude
from app.media.finishing import is_whole
from app.media.holding import Fenced, held
from app.media.models import UNDER_WAY, Upload

QUIET = timedelta(seconds=30)
"""Since the last byte: before that its own request is at work on it."""
POLL_S = 15.0
_MOST = 500

log = structlog.get_logger()


class TakingUp:
    """The part of the worker that does it; any number of processes may."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; a lost database is waited for."""
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await stop.wait()
            try:
                if not stop.is_set():
                    await self.work()
            except (SQLAlchemyError, Problem, OSError) as lost:
                log.warning("taking_up_interrupted", error=type(lost).__name__)

    async def work(self) -> int:
        """Finish what was left, and give homeless files to their reports. Returns the finished."""
        finished = 0
        for upload in await self._left():
            try:
                finished += await self._finish(upload)
            except (Problem, StoreUnavailable, Fenced) as later:
                log.info("upload_left", upload=upload.id[:8], error=type(later).__name__)
        await adopt_all(self._resources)
        return finished

    async def _left(self) -> Sequence[Upload]:
        """Whole, quiet and in nobody's hands; of sign-ins that still count."""
        now = self._resources.clock.now()
        kept = timedelta(seconds=self._resources.settings.uploads.expires_s)
        async with self._resources.sessions.read() as session:
            found = await session.scalars(
                select(Upload)
                .where(
                    Upload.state.in_(UNDER_WAY),
                    Upload.received == Upload.length,
                    Upload.expires_at > now,
                    Upload.expires_at <= now + kept - QUIET,
                    or_(Upload.leased_until.is_(None), Upload.leased_until < now),
                    Upload.session_id.is_not(None),
                )
                .order_by(Upload.expires_at)
                .limit(_MOST)
            )
            uploads = list(found)
        ids = {upload.session_id for upload in uploads if upload.session_id}
        ended = await ended_sessions(self._resources.sessions, ids, now) if ids else set()
        return [upload for upload in uploads if upload.session_id not in ended]

    async def _finish(self, upload: Upload) -> bool:
        """With the rights that its owner has now (U19)."""
        assert upload.session_id is not None  # noqa: S101 - asked for
        now = self._resources.clock.now()
        with suppress(SessionEnded):
            async with self._resources.sessions.read() as session:
                caller = await load_caller(session, upload.session_id, now)
            async with held(self._resources, upload.id) as hold:
                if is_whole(hold.upload):
                    await conclude(self._resources, hold, caller)
                    return True
        return False
