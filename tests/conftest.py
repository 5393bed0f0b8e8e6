"""The real PostgreSQL, one database a run, a session that rolls back, doubles at the doors."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
)

from app.core.clock import FakeClock
from app.core.db import Sessions, make_engine
from app.core.settings import DatabaseSettings, Settings
from app.embedded.postgres import EmbeddedPostgres
from app.schema import configuration
from tests.district import DatabaseServer, District, seed_template

NOON = datetime(2026, 3, 11, 4, 0, tzinfo=UTC)
"""A working Wednesday, 12:00 in Shanghai."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one name run once where they are spread over workers: the others would be lost."""
    shared = [name for name, often in Counter(item.nodeid for item in items).items() if often > 1]
    if shared:
        raise pytest.UsageError("several tests share a name: " + ", ".join(sorted(shared)))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseServer]:
    """A PostgreSQL server: the one given, else an embedded one of our own."""
    given = os.environ.get("ETONG_TEST_DATABASE_URL")
    if given:
        yield DatabaseServer(given)
        return
    embedded = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    embedded.start()
    yield DatabaseServer(embedded.url)
    embedded.stop()


@pytest.fixture(scope="session")
def migrated_template(server: DatabaseServer) -> Iterator[str]:
    """The name of a migrated, empty database that nobody connects to: it can be cloned."""
    name = server.create()
    command.upgrade(configuration(DatabaseSettings(url=SecretStr(server.url(name)))), "head")
    yield name
    server.drop(name)


@pytest.fixture(scope="session")
def database_url(server: DatabaseServer, migrated_template: str) -> Iterator[str]:
    """A migrated database of this run's own, with nothing in it."""
    name = server.create(template=migrated_template)
    yield server.url(name)
    server.drop(name)


@pytest.fixture(scope="session")
def district_template(server: DatabaseServer, migrated_template: str) -> Iterator[str]:
    """The name of a database that holds the reference district and its cast; to be cloned."""
    name = server.create(template=migrated_template)
    asyncio.run(seed_template(server.url(name), NOON))
    yield name
    server.drop(name)


@pytest.fixture
async def district(server: DatabaseServer, district_template: str) -> AsyncIterator[District]:
    """A whole server on a clone of the reference district: real commits, doubles at the doors."""
    name = server.create(template=district_template)
    async with District.opened(server.url(name), NOON) as district:
        yield district
    server.drop(name)


@pytest.fixture(scope="module")
async def shared_district(
    server: DatabaseServer, district_template: str
) -> AsyncIterator[District]:
    """The same, for the tests of one module that only add to it."""
    name = server.create(template=district_template)
    async with District.opened(server.url(name), NOON) as district:
        yield district
    server.drop(name)


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
            info=self.info,
        )

    async def rows(self, statement: Any, parameters: dict[str, Any]) -> Sequence[Any]:
        async with self.begin() as session:
            return (await session.execute(statement, parameters)).all()


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
