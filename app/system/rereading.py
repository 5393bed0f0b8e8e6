"""Once a night some files are read back and hashed: a store that lies is found out (M10, R3, F10).

`etong media verify` reads back more of them, or all, at any time.
"""

from datetime import date

import structlog
from prometheus_client import Gauge

from app.core.metrics import Metrics
from app.core.resources import Resources
from app.media.rereading import note
from app.system.ledgers import kept_files, reread

SAMPLE = 200
_HOURS = range(3, 6)
"""By local time: nobody reports much then."""

log = structlog.get_logger()


class Rereading:
    """`resources.the(Rereading)`; every process that does the upkeep draws a sample of its own."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._last: date | None = None
        self._damaged = Gauge(
            "media_damaged_files",
            "Files of the last night's sample whose stored bytes were gone or others",
            registry=resources.the(Metrics).registry,
        )

    async def by_night(self) -> None:
        """At most once a night. Raises StoreUnavailable; then the next hour tries again."""
        now = self._resources.clock.now().astimezone(self._resources.settings.zone)
        if now.hour in _HOURS and now.date() != self._last:
            self._damaged.set(await self._read_back())
            self._last = now.date()

    async def _read_back(self) -> int:
        async with self._resources.sessions.read() as session:
            files = await kept_files(session, SAMPLE)
        damaged = 0
        async for file, found in reread(self._resources.store, files):
            damaged += found != "whole"
            async with self._resources.sessions.begin() as session:
                at = self._resources.clock.now()
                await note(session, file.file_id, "sample", found, at=at)
        log.info("files_reread", files=len(files), damaged=damaged)
        return damaged


async def reread_by_night(resources: Resources) -> None:
    """A piece of the upkeep. Raises StoreUnavailable."""
    await resources.the(Rereading).by_night()
