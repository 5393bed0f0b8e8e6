"""A small world to break: a database, a store, processes of the product, and the same checks."""

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import text

from app.core.audit_sealing import Sealing
from app.core.clock import Clock, FakeClock
from app.core.db import Sessions, make_engine
from app.core.resources import Resources
from app.core.s3_store import S3Store
from app.core.settings import DatabaseSettings, Settings, StoreSettings
from app.core.wakeups import MemoryWakeups
from app.embedded.store import EmbeddedStore
from app.media.sweeping import sweep
from app.simulation.ledger import LedgerFile
from app.simulation.link import Account, Link
from app.simulation.phone import Phone
from app.system.invariants import Violation, check_all
from app.system.ledgers import (
    Ledger,
    acknowledged,
    files_promised,
    files_whole,
    kept_files,
    seen_in_order,
    strays,
)
from tests.district import PASSWORD, SECRET
from tests.faults.servers import Sabotage, Server

WORKERS = (("worker-yonghong", PASSWORD), ("worker-minxin", PASSWORD))
WAIT_S = 60.0

_CLOCKS = {"a time has come and nothing happened", "a clock ran out and has no consequence"}


@dataclass
class World:
    """`serve` starts a process; everything it started is ended with the world."""

    resources: Resources
    folder: Path
    servers: list[Server] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, database_url: str, store: EmbeddedStore, folder: Path
    ) -> AsyncIterator["World"]:
        settings = _settings(database_url, store)
        # a day ahead, so that what these tests leave over is old enough to be swept
        clock = FakeClock(datetime.now(UTC) + timedelta(hours=25))
        sessions = Sessions(make_engine(settings.database))
        s3 = S3Store(settings.store)
        await s3.prepare()
        world = cls(Resources(settings, sessions, s3, MemoryWakeups(), clock), folder)
        try:
            yield world
        finally:
            for server in reversed(world.servers):
                await server.stop()
            await s3.close()
            await sessions.close()

    async def serve(
        self,
        roles: str,
        sabotage: Sabotage | None = None,
        **environment: str,
    ) -> Server:
        number = next(self._numbers)
        given = {**self._environment, **environment}
        server = Server(roles, given, self.folder / f"{number}-{roles}.log", sabotage)
        self.servers.append(server)
        await server.start()
        return server

    @property
    def _environment(self) -> dict[str, str]:
        settings = self.resources.settings
        return {
            "ETONG_DATABASE__URL": settings.database.url.get_secret_value(),
            "ETONG_DATABASE__POOL_SIZE": "10",
            "ETONG_STORE__ENDPOINT_URL": settings.store.endpoint_url,
            "ETONG_STORE__BUCKET": settings.store.bucket,
            "ETONG_STORE__ACCESS_KEY": settings.store.access_key.get_secret_value(),
            "ETONG_STORE__SECRET_KEY": settings.store.secret_key.get_secret_value(),
            "ETONG_SECRET_KEY": SECRET,
            "ETONG_RATE_BURST": "100000",
            "ETONG_RATE_PER_S": "100000",
        }

    async def drained(self) -> None:
        """Wait until the relay has worked off everything."""
        await self.until(_WAITING, 0)

    async def waiting(self) -> int:
        """Events and reactions that the relay still has before it."""
        return await self.count(_WAITING)

    async def until(self, question: str, answer: int) -> None:
        deadline = time.monotonic() + WAIT_S
        while (last := await self.count(question)) != answer:
            assert time.monotonic() < deadline, f"{last}, not {answer}: {question}"
            await asyncio.sleep(0.02)

    async def hears_everything(self, api: Server, who: tuple[str, str], ledger: LedgerFile) -> int:
        """A new terminal reads the whole inbox into the ledger; the number of its last notice."""
        async with Link(api.url, Account(*who)) as link:
            phone = Phone(link, ledger)
            await phone.sign_in()
            assert phone.hearing is not None
            await phone.hearing.catch_up()
            return phone.hearing.last

    async def count(self, question: str) -> int:
        async with self.resources.sessions.read() as session:
            found = await session.scalar(text(question))
        return int(found or 0)

    async def violations(self, ledger: Path | None = None) -> list[Violation]:
        """What `etong check --media all` says, and strictly: nothing may still be under way."""
        told = _read(ledger)
        while await Sealing(self.resources.sessions).work():
            pass  # no process here has the role that does it
        async with self.resources.sessions.read() as session:
            found = await check_all(session, self.resources.clock.now())
            # a day is said to have passed in which nobody kept the clocks of matters
            found = [each for each in found if each.what not in _CLOCKS]
            found += await acknowledged(session, told)
            found += await files_promised(session, told)
            found += await seen_in_order(session, told)
            files = await kept_files(session)
        found += [violation async for violation in files_whole(self.resources.store, files)]
        return found

    @asynccontextmanager
    async def intake_held(self) -> AsyncIterator[None]:
        """Nobody can insert an incident: reports wait, with their files in the store."""
        async with self.resources.sessions.engine.connect() as connection:
            await connection.execute(text("LOCK TABLE incidents IN SHARE MODE"))
            yield
            await connection.rollback()

    def at(self, clock: Clock) -> Resources:
        """What it consists of, at another time."""
        given = self.resources
        return Resources(given.settings, given.sessions, given.store, given.wakeups, clock)

    async def swept(self) -> int:
        """Sweep; the objects that are then left over (none), after as many were swept."""
        result = await sweep(self.resources)
        async with self.resources.sessions.read() as session:
            left = await strays(session, self.resources.store)
        assert left == []
        return result.objects

    async def objects(self) -> int:
        return len([item async for item in self.resources.store.list("media/")])

    def bugs(self) -> list[dict[str, object]]:
        """Nothing that was done to it may look like a bug."""
        return [bug for server in self.servers for bug in server.events("bug")]


def _read(ledger: Path | None) -> Ledger:
    return Ledger.read(ledger.read_bytes().splitlines() if ledger else ())


def _settings(database_url: str, store: EmbeddedStore) -> Settings:
    return Settings(
        _env_file=None,
        secret_key=SecretStr(SECRET),
        database=DatabaseSettings(url=SecretStr(database_url), pool_size=5),
        store=StoreSettings(
            endpoint_url=store.endpoint_url,
            bucket=f"faults-{secrets.token_hex(6)}",
            access_key=SecretStr(store.access_key),
            secret_key=SecretStr(store.secret_key),
        ),
    )


WAITING_FOR_LOCKS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'"""
_WAITING = """
    SELECT (SELECT count(*) FROM domain_events WHERE processed_at IS NULL)
      + (SELECT count(*) FROM parked_reactions WHERE next_attempt_at IS NOT NULL)"""
