"""The process's picture of the areas: loaded once, fresh within seconds, kept through an outage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from app.areas.importing import import_areas
from app.areas.locate import MapKeeper, current_map
from app.core.clock import FakeClock
from app.core.db import Sessions
from app.core.memory_store import MemoryStore
from app.core.resources import Resources
from app.core.settings import Settings
from app.core.wakeups import MemoryWakeups
from tests.areas.conftest import SQUARES, TREE
from tests.conftest import NOON

RENAMED = TREE.replace("永红村,", "永红新村,")


class Door(Sessions):
    """Counts the sessions asked for; refuses while `down`."""

    def __init__(self, behind: Sessions) -> None:
        super().__init__(behind.engine)
        self._behind = behind
        self.opened = 0
        self.down = False

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        self.opened += 1
        if self.down:
            raise OperationalError("SELECT 1", {}, ConnectionError())
        async with self._behind.read() as session:
            yield session


@pytest.fixture
def door(sessions: Sessions) -> Door:
    return Door(sessions)


@pytest.fixture
def watched(settings: Settings, door: Door, clock: FakeClock) -> Resources:
    return Resources(settings, door, MemoryStore(), MemoryWakeups(), clock)


async def seed(sessions: Sessions, rows: str = TREE) -> None:
    async with sessions.begin() as session:
        assert not (await import_areas(session, rows, [SQUARES], at=NOON)).errors


async def test_without_a_database_and_without_a_map_the_error_is_raised(
    watched: Resources, door: Door, sessions: Sessions
) -> None:
    door.down = True
    with pytest.raises(OperationalError):
        await current_map(watched)
    door.down = False
    await seed(sessions)
    assert len(await current_map(watched)) == 9


async def test_an_outage_keeps_the_map_there_is(
    watched: Resources, door: Door, sessions: Sessions, clock: FakeClock
) -> None:
    await seed(sessions)
    first = await current_map(watched)
    door.down = True
    clock.advance(timedelta(hours=1))
    assert await current_map(watched) is first


async def test_the_first_use_by_many_loads_once(
    watched: Resources, door: Door, sessions: Sessions
) -> None:
    await seed(sessions)
    maps = await asyncio.gather(*(current_map(watched) for _ in range(20)))
    assert door.opened == 1
    assert all(found is maps[0] for found in maps)


async def test_the_revision_is_asked_again_after_seconds_not_at_every_use(
    watched: Resources, door: Door, sessions: Sessions, clock: FakeClock
) -> None:
    await seed(sessions)
    first = await current_map(watched)
    await seed(sessions, RENAMED)
    clock.advance(timedelta(seconds=1))
    assert await current_map(watched) is first
    assert door.opened == 1
    clock.advance(timedelta(seconds=2))
    assert (await current_map(watched)).name("V1") == "永红新村"
    assert first.name("V1") == "永红村"


async def test_an_unchanged_revision_keeps_the_same_map(
    watched: Resources, door: Door, sessions: Sessions, clock: FakeClock
) -> None:
    await seed(sessions)
    first = await current_map(watched)
    clock.advance(timedelta(seconds=5))
    assert await current_map(watched) is first
    assert door.opened == 2


async def test_a_clock_set_back_does_not_freeze_the_map(
    watched: Resources, sessions: Sessions, clock: FakeClock
) -> None:
    await seed(sessions)
    await current_map(watched)
    await seed(sessions, RENAMED)
    clock.advance(timedelta(minutes=-5))
    assert (await current_map(watched)).name("V1") == "永红新村"


async def test_an_expired_map_is_looked_at_at_once(watched: Resources, sessions: Sessions) -> None:
    await seed(sessions)
    await current_map(watched)
    await seed(sessions, RENAMED)
    watched.the(MapKeeper).expire()
    assert (await current_map(watched)).name("V1") == "永红新村"
