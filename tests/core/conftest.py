from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog.testing
from sqlalchemy import delete, text

from app.core.events import OutboxRow
from app.core.parking import ParkedReaction
from tests.conftest import NOON
from tests.core.outbox import Outbox
from tests.district import DatabaseServer, District


@pytest.fixture(scope="module")
async def place(server: DatabaseServer, migrated_template: str) -> AsyncIterator[District]:
    """An empty database with the doubles around it."""
    name = server.create(template=migrated_template)
    async with District.opened(server.url(name), NOON) as district:
        yield district
    server.drop(name)


@pytest.fixture
async def outbox(place: District) -> AsyncIterator[Outbox]:
    async with place.resources.sessions.begin() as session:
        await session.execute(delete(OutboxRow))
        await session.execute(delete(ParkedReaction))
        await session.execute(text("CREATE TABLE IF NOT EXISTS done (id bigserial, what text)"))
        await session.execute(text("TRUNCATE done"))
    place.wakeups.published.clear()
    return_to = place.resources.wakeups
    yield Outbox(place)
    place.resources.wakeups = return_to


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """What was logged; rendering every traceback with its locals takes seconds."""
    with structlog.testing.capture_logs() as entries:
        yield entries
