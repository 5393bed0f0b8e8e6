"""One statement that is a transaction of its own, past SQLAlchemy's layers to the driver.

The connections are the pool's. Between its checkout and the driver, SQLAlchemy's own execution was
measured at 0.5 ms of CPU a statement, which the hottest paths (intake, who calls, streams) save.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from weakref import WeakKeyDictionary

import psycopg
import structlog
from psycopg.rows import namedtuple_row
from sqlalchemy import ClauseElement, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

_PROBE = text("SELECT 1")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Compiled:
    query: bytes
    constants: dict[str, Any]
    """What the statement itself binds."""


class Statements:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._known: WeakKeyDictionary[ClauseElement, _Compiled] = WeakKeyDictionary()
        self._probing: asyncio.Task[None] | None = None

    async def rows(self, statement: ClauseElement, parameters: dict[str, Any]) -> Sequence[Any]:
        """Run it, autocommitted; the rows are named tuples, empty where it returns none.

        Its parameters reach the driver as they are: no `IN` lists that SQLAlchemy would expand.
        Raises DBAPIError (`connection_invalidated` where the link was lost), and the pool's
        TimeoutError.
        """
        compiled = self._compiled(statement)
        given = {**compiled.constants, **parameters}
        try:
            pooled = await self._engine.raw_connection()
        except psycopg.Error as failed:  # nothing was sent
            raise self._named(compiled, failed, is_lost=False) from failed
        try:
            return await _run(pooled, compiled.query, given)
        except psycopg.Error as failed:
            is_lost = _driver(pooled).closed
            if is_lost:
                await greenlet_spawn(pooled.invalidate, failed)
                self._doubt_the_others()
            raise self._named(compiled, failed, is_lost=is_lost) from failed
        finally:
            await greenlet_spawn(pooled.close)

    def _compiled(self, statement: ClauseElement) -> _Compiled:
        known = self._known.get(statement)
        if known is None:
            compiled = statement.compile(dialect=self._engine.dialect)
            constants = {k: v for k, v in compiled.params.items() if v is not None}
            known = self._known[statement] = _Compiled(str(compiled).encode(), constants)
        return known

    def _named(self, compiled: _Compiled, failed: psycopg.Error, *, is_lost: bool) -> Exception:
        """The driver's error as SQLAlchemy names it everywhere else."""
        return DBAPIError.instance(
            compiled.query.decode(),
            None,
            failed,
            psycopg.Error,
            hide_parameters=True,
            connection_invalidated=is_lost,
            dialect=self._engine.dialect,
        )

    def _doubt_the_others(self) -> None:
        """One failure through SQLAlchemy itself makes the pool replace all it holds."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe(), name="pool-probe")

    async def _probe(self) -> None:
        try:
            async with self._engine.connect() as connection:
                await connection.execute(_PROBE)
        except (DBAPIError, PoolTimeout, OSError) as lost:
            log.warning("database_lost", error=type(lost).__name__)

    async def close(self) -> None:
        """The engine is disposed by its owner, afterwards."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)


def _driver(pooled: PoolProxiedConnection) -> "psycopg.AsyncConnection[Any]":
    return cast("psycopg.AsyncConnection[Any]", pooled.driver_connection)


async def _run(
    pooled: PoolProxiedConnection, query: bytes, parameters: dict[str, Any]
) -> Sequence[Any]:
    connection = _driver(pooled)
    await connection.set_autocommit(True)
    try:
        cursor = connection.cursor(row_factory=namedtuple_row)
        await cursor.execute(query, parameters)
        return await cursor.fetchall() if cursor.description else ()
    finally:
        if not connection.closed:
            await connection.set_autocommit(False)
