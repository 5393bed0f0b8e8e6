"""How fast a sender has to be: never silent for long, and no dribble that only keeps a place (U18).

Only the time in which a sender is waited for counts: what the receiver takes is not its fault.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """What is asked of a sender: a byte within `idle_s`, and an average in each window."""

    idle_s: float
    bytes_per_s: int
    window_s: float


class Pacing:
    """One sender's; counts from its first wait."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._waited_s = 0.0
        self._heard = 0

    def patience_s(self) -> float:
        """How long the next bytes may take; 0: whoever sends has been too slow."""
        if self._waited_s >= self._pace.window_s:
            if self._heard < self._pace.bytes_per_s * self._waited_s:
                return 0.0
            self._waited_s, self._heard = 0.0, 0
        return self._pace.idle_s

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[asyncio.Timeout]:
        """Wait in a `with` block. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(self.patience_s()) as timeout:
            yield timeout
        self.waited(loop.time() - began)

    def waited(self, seconds: float) -> None:
        self._waited_s += seconds

    def heard(self, size: int) -> None:
        self._heard += size
