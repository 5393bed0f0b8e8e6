"""Yardstick (a): the bare intake transaction, with nothing around it.

The product's own statement, its parameters made beforehand by the product's own code: prepared
once a connection, over 32 psycopg connections; with BEGIN and COMMIT around it, or (`framed` False)
as a transaction of its own, which is how the product sends it.
"""

import asyncio
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import psycopg
import uvloop
from sqlalchemy.dialects.postgresql import psycopg as dialect

from app.core.db import Json
from app.incidents.reporting import INTAKE
from tests.load.client import CONNECTIONS, Outcome


def insert(url: str, reports: list[Json], *, framed: bool = True) -> Outcome:
    """Write every report once, from a fresh process; blocks until all are committed."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_run, url.replace("+psycopg", ""), reports, framed).result()


def _run(url: str, reports: list[Json], framed: bool) -> Outcome:  # noqa: FBT001 - passed to a process by position
    return uvloop.run(_insert_all(url, reports, framed=framed))


async def _insert_all(url: str, reports: list[Json], *, framed: bool) -> Outcome:
    outcome = Outcome()
    waiting = iter(reports)
    statement = str(INTAKE.compile(dialect=dialect.dialect()))  # type: ignore[no-untyped-call]  # not annotated there
    connections = [
        await psycopg.AsyncConnection.connect(url, autocommit=True) for _ in range(CONNECTIONS)
    ]
    began, cpu = time.perf_counter(), _cpu()
    work = _framed if framed else _alone
    await asyncio.gather(*(work(each, statement, waiting, outcome) for each in connections))
    outcome.seconds = time.perf_counter() - began
    outcome.cpu_s = _cpu() - cpu
    for connection in connections:
        await connection.close()
    return outcome


async def _framed(
    connection: psycopg.AsyncConnection,
    statement: str,
    waiting: Iterator[Json],
    outcome: Outcome,
) -> None:
    cursor = connection.cursor()
    for report in waiting:
        began = time.perf_counter()
        await cursor.execute("BEGIN")
        await cursor.execute(statement, report, prepare=True)
        assert await cursor.fetchone() is not None, "this id was written before"
        await cursor.execute("COMMIT")
        outcome.latencies.append(time.perf_counter() - began)


async def _alone(
    connection: psycopg.AsyncConnection,
    statement: str,
    waiting: Iterator[Json],
    outcome: Outcome,
) -> None:
    cursor = connection.cursor()
    for report in waiting:
        began = time.perf_counter()
        await cursor.execute(statement, report, prepare=True)
        assert await cursor.fetchone() is not None, "this id was written before"
        outcome.latencies.append(time.perf_counter() - began)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
