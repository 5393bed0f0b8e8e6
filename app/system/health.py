"""May requests come here: asked every few seconds by whatever stands before us."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psycopg
import structlog

from app.core.object_store import ObjectMissing, StoreUnavailable
from app.core.resources import Resources

ANSWER_S = 1.0
_NO_KEY = "health/none"

log = structlog.get_logger()

Check = Callable[[Resources], Awaitable[list[str]]]
"""Reasons, short codes, why this process must not get requests; [] when it may."""


@dataclass(frozen=True, slots=True)
class Condition:
    reasons: tuple[str, ...]
    store: str
    """`ok` or `unavailable`: shown, never a reason (reports are taken without their files)."""


class Health:
    """`resources.the(Health)`; main says when it seeds and adds the check of the schema."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._looking: asyncio.Task[Condition] | None = None
        self.seeding = False
        """Set while the embedded database is being filled."""
        self.checks: list[Check] = []
        self.started_at = resources.clock.now()

    async def condition(self) -> Condition:
        """Everybody who asks at the same time shares one look: probes can't use up connections."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="health")
        return await asyncio.shield(self._looking)

    async def _look(self) -> Condition:
        reasons, store = await asyncio.gather(self._reasons(), self._store())
        return Condition(tuple(reasons), store)

    async def _reasons(self) -> list[str]:
        flags = {"draining": self._resources.draining.is_set(), "seeding": self.seeding}
        reasons = [word for word, is_set in flags.items() if is_set]
        if not await self._database_answers():
            return [*reasons, "database"]
        for check in self.checks:
            reasons += await self._asked(check)
        return reasons

    async def _asked(self, check: Check) -> list[str]:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await check(self._resources)
        except Exception as failure:  # noqa: BLE001 - a check that can't tell is a reason
            log.warning("health_check_failed", error=type(failure).__name__)
            return ["check"]

    async def _database_answers(self) -> bool:
        """Over a connection of its own: a pool in full use is no reason to be taken away."""
        url = self._resources.settings.database.url.get_secret_value()
        dsn = url.replace("postgresql+psycopg://", "postgresql://", 1)
        try:
            async with asyncio.timeout(ANSWER_S):
                connection = await psycopg.AsyncConnection.connect(
                    dsn, autocommit=True, prepare_threshold=None, application_name="etong-health"
                )
                async with connection:
                    await connection.execute("SELECT 1")
        except (psycopg.Error, OSError, TimeoutError) as failure:
            log.warning("database_unavailable", error=type(failure).__name__)
            return False
        return True

    async def _store(self) -> str:
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._resources.store.size(_NO_KEY)
        except ObjectMissing:
            return "ok"
        except (StoreUnavailable, TimeoutError):
            return "unavailable"
        return "ok"
