"""The real PostgreSQL, one database a run, a session that rolls back, doubles at the doors."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
)

from app import tables
from app.core.clock import FakeClock
from app.core.db import Sessions, make_engine
from app.core.settings import DatabaseSettings, Settings

NOON = datetime(2026, 3, 11, 4, 0, tzinfo=UTC)
"""A working Wednesday, 12:00 in Shanghai."""


@pytest.fixture(scope="session")
def server_url() -> str:
    """A PostgreSQL server: the one given, else an embedded one of our own."""
    return os.environ["ETONG_TEST_DATABASE_URL"]


@pytest.fixture(scope="session")
def database_url(server_url: str) -> Iterator[str]:
    """A migrated, empty database of this run's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    admin = server_url.replace("+psycopg", "")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = server_url.rsplit("/", 1)[0] + "/" + name
    engine = create_engine(url)
    tables.metadata.create_all(engine)
    engine.dispose()
    yield url
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def settings(database_url: str) -> Settings:
    return Settings(
        _env_file=None,
        secret_key=SecretStr("test-secret-key-of-more-than-32-characters"),
        database=DatabaseSettings(url=SecretStr(database_url)),
    )


@pytest.fixture(scope="session")
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(settings.database)
    yield engine
    await engine.dispose()


@pytest.fixture
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One connection in a transaction that is always rolled back."""
    async with engine.connect() as connection:
        transaction = await connection.begin()
        yield connection
        await transaction.rollback()


class NestedSessions(Sessions):
    """Sessions whose commits are savepoints of the test's own transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection.engine)
        self._make = async_sessionmaker(
            bind=connection,
            expire_on_commit=False,
            join_transaction_mode="create_savepoint",
        )


@pytest.fixture
def sessions(connection: AsyncConnection) -> Sessions:
    return NestedSessions(connection)


@pytest.fixture
async def session(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    async with sessions.read() as session:
        yield session


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)
