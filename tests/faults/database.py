"""A PostgreSQL of a test's own, to be killed: the whole server, or one of its processes."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

import psycopg
from pydantic import SecretStr

from app.core.settings import DatabaseSettings
from app.embedded.children import is_running
from app.embedded.postgres import DATABASE, EmbeddedPostgres
from app.schema import migrate
from tests.conftest import NOON
from tests.district import DatabaseServer, seed_template

_RECOVERED_S = 60.0
_TICK_S = 0.02
_SOMEBODY = """
    SELECT pid FROM pg_stat_activity
    WHERE application_name = 'etong' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1"""


class Database:
    """Holds the reference district; keeps its address over any number of kills."""

    def __init__(self, home: Path) -> None:
        self._postgres = EmbeddedPostgres(home)
        # the server ends with the thread that started it
        self._thread = ThreadPoolExecutor(1)

    @classmethod
    @asynccontextmanager
    async def opened(cls, home: Path) -> AsyncIterator[Self]:
        database = cls(home)
        try:
            await database.start()
            url = database._postgres.url
            await migrate(DatabaseSettings(url=SecretStr(url)))
            await seed_template(url, NOON)
            yield database
        finally:
            await database.stop()
            database._thread.shutdown()

    def copy(self) -> str:
        """Address of another database like it was made, on the same server."""
        server = DatabaseServer(self._postgres.url)
        return server.url(server.create(template=DATABASE))

    async def start(self) -> None:
        await self._run(self._postgres.start)

    async def stop(self) -> None:
        """As an operator restarts it: connections are ended, whatever they were doing."""
        await self._run(self._postgres.stop)

    async def kill(self) -> None:
        await self._run(self._kill)

    async def kill_one_connection(self) -> None:
        """The server then ends all others and recovers by itself."""
        try:
            async with await self._connection() as connection:
                row = await (await connection.execute(_SOMEBODY)).fetchone()
        except psycopg.OperationalError:  # still recovering from the last one
            return
        if row is None:
            return
        with suppress(ProcessLookupError):
            os.kill(row[0], signal.SIGKILL)
        # from then on the server knows of it, and whom it answers has outlived it
        deadline = time.monotonic() + _RECOVERED_S
        while is_running(row[0]):
            assert time.monotonic() < deadline, "it outlives its kill"
            await asyncio.sleep(_TICK_S)

    async def recovered(self) -> None:
        deadline = time.monotonic() + _RECOVERED_S
        while True:
            try:
                async with await self._connection() as connection:
                    await connection.execute("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "the database does not recover"
                await asyncio.sleep(_TICK_S)
            else:
                return

    async def _connection(self) -> psycopg.AsyncConnection[tuple[int]]:
        dsn = self._postgres.url.replace("+psycopg", "")
        return await psycopg.AsyncConnection.connect(dsn, connect_timeout=5)

    async def _run(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _kill(self) -> None:
        os.kill(self._postgres.pid, signal.SIGKILL)
        while self._postgres.alive:
            time.sleep(0.01)
