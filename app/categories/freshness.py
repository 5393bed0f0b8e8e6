"""A snapshot of slow-changing rows, read again after a few seconds."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from app.core.clock import Clock

SnapshotT = TypeVar("SnapshotT")

STALE_AFTER = timedelta(seconds=5)


class Fresh(Generic[SnapshotT]):
    """The last snapshot, at most STALE_AFTER old; lives behind `resources.the`."""

    def __init__(self, clock: Clock, load: Callable[[], Awaitable[SnapshotT]]) -> None:
        self._clock = clock
        self._load = load
        self._kept: tuple[datetime, SnapshotT] | None = None
        self._loading = asyncio.Lock()

    async def get(self) -> SnapshotT:
        """The snapshot; of many that wait for a new one, one reads it."""
        kept = self._still_fresh()
        if kept is not None:
            return kept
        async with self._loading:
            kept = self._still_fresh()
            if kept is not None:
                return kept
            read_at = self._clock.now()
            snapshot = await self._load()
            self._kept = read_at, snapshot
            return snapshot

    def _still_fresh(self) -> SnapshotT | None:
        if self._kept is None:
            return None
        read_at, snapshot = self._kept
        # a clock that was set back must not keep an old snapshot alive
        age = self._clock.now() - read_at
        return snapshot if timedelta() <= age < STALE_AFTER else None
