"""The cap on uploaded bytes that one process holds: uploads beyond it are slowed, not refused."""

import asyncio
from contextlib import suppress

from app.core.resources import Resources

_PARTS = 32


class BytesInFlight:
    """Counts bytes between the network and the object store; `resources.the(BytesInFlight)`.

    Nobody waits for ever: uploads that each hold half a part would otherwise wait for one another.
    Whoever waits goes on after `patience_s` all the same, one after the other, so that some part
    gets full, goes out and makes room.
    """

    def __init__(self, resources: Resources) -> None:
        self.capacity = _PARTS * resources.settings.intake.part_bytes
        self.used = 0
        self.patience_s = 0.25
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()

    async def take(self, size: int) -> None:
        if self._fits(size):
            self.used += size
            return
        async with self._turn:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.patience_s):
                    await self._wait_for(size)
            self.used += size

    def give(self, size: int) -> None:
        self.used -= size
        self._room.set()

    def _fits(self, size: int) -> bool:
        return self.used + size <= self.capacity

    async def _wait_for(self, size: int) -> None:
        while not self._fits(size):
            self._room.clear()
            await self._room.wait()
