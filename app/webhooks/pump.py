"""The pump: claims due deliveries, sends them side by side, writes down what became of them.

Transaction, call, transaction: nothing is held while a platform thinks. Any number of pumps may
run; a delivery whose pump was killed is claimed again when its lease is over.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import OutcomeUnknown
from app.core.resources import Resources
from app.webhooks import sealing
from app.webhooks.claiming import Claimed, claim
from app.webhooks.events import DELIVERIES
from app.webhooks.sending import Outcome, Sender
from app.webhooks.settling import Made, settle
from app.webhooks.signing import signed_headers

POLL_S = 0.5
"""How often the ladder is looked at; a wakeup comes sooner."""
GATHER_S = 0.01
RECONNECT_S = 1.0
RATE_PER_S = 400
"""Attempts at one endpoint in one second, of one process."""

log = structlog.get_logger()


class Pump:
    def __init__(
        self, resources: Resources, sender: Sender, chance: random.Random | None = None
    ) -> None:
        self._resources = resources
        self._sender = sender
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self.under_way: set[asyncio.Task[None]] = set()
        """Attempts that are being made."""
        self._made: list[Made] = []
        self._news = asyncio.Event()
        self._rates = _Rates()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; attempts under way are finished and written down."""
        waiter = self._resources.wakeups.listen(DELIVERIES)
        watching = asyncio.create_task(self._watch(waiter.wait, stop), name="pump-wakeups")
        try:
            while not stop.is_set():
                await self._turn()
        finally:
            watching.cancel()
            self._resources.wakeups.forget(waiter)
            await self._finish()

    async def drain(self) -> int:
        """Send everything that is due now, and what that makes due at once. Returns attempts."""
        total = 0
        while claimed := await self._claim():
            total += len(claimed)
            await asyncio.gather(*(self._attempt(item) for item in claimed))
            await self._settle()
        return total

    async def _turn(self) -> None:
        try:
            settled = await self._settle()
            claimed = await self._claim()
        except (SQLAlchemyError, OutcomeUnknown, OSError) as lost:
            log.warning("pump_reconnect", error=type(lost).__name__)
            await asyncio.sleep(RECONNECT_S)
            return
        for item in claimed:
            task = asyncio.create_task(self._attempt(item), name="webhook-attempt")
            self.under_way.add(task)
            task.add_done_callback(self.under_way.discard)
        if not claimed and not settled:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._news.wait()
        self._news.clear()
        if self.under_way:
            # what ends within a moment is written down together
            await asyncio.sleep(GATHER_S)

    async def _watch(self, wait: Callable[[float], Awaitable[bool]], stop: asyncio.Event) -> None:
        while not stop.is_set():
            if await wait(POLL_S):
                self._news.set()

    async def _finish(self) -> None:
        if self.under_way:
            await asyncio.wait(self.under_way)
        try:
            await self._settle()
        except (SQLAlchemyError, OutcomeUnknown, OSError) as lost:
            # their leases end, and somebody sends them again under the same ids
            log.warning("pump_outcomes_lost", error=type(lost).__name__)

    async def _claim(self) -> list[Claimed]:
        now = self._resources.clock.now()
        full = self._rates.full(now)
        async with self._resources.sessions.begin() as session:
            claimed = await claim(session, now, full)
        self._rates.count(claimed, now)
        return claimed

    async def _settle(self) -> int:
        """Outcomes stay until they are written."""
        made = self._made[:]
        if not made:
            return 0
        now = self._resources.clock.now()
        async with self._resources.sessions.begin() as session:
            await settle(session, made, now, self._chance)
        del self._made[: len(made)]
        return len(made)

    async def _attempt(self, item: Claimed) -> None:
        try:
            now = self._resources.clock.now()
            keys = sealing.valid(item, self._resources.keys, now)
            headers = signed_headers(keys, str(item.id), now, item.body)
            headers["Content-Type"] = "application/json"
            headers["User-Agent"] = "etong-webhooks"
            outcome = await self._sender.send(item.url, headers, item.body)
        except Exception as bug:
            log.exception("attempt_failed", delivery_id=str(item.id))
            outcome = Outcome(None, 0, type(bug).__name__)
        self._made.append(Made(item, outcome))
        self._news.set()


class _Rates:
    """Attempts of this second, by endpoint."""

    def __init__(self) -> None:
        self._second = 0
        self._counts: dict[UUID, int] = defaultdict(int)

    def full(self, now: datetime) -> Sequence[UUID]:
        self._turn(now)
        return [endpoint for endpoint, count in self._counts.items() if count >= RATE_PER_S]

    def count(self, claimed: Sequence[Claimed], now: datetime) -> None:
        self._turn(now)
        for item in claimed:
            self._counts[item.endpoint_id] += 1

    def _turn(self, now: datetime) -> None:
        second = int(now.timestamp())
        if second != self._second:
            self._second = second
            self._counts.clear()
