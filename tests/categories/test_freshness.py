"""The snapshot of a process."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from app.categories.freshness import Fresh
from app.categories.models import Category
from app.categories.queries import current_tree
from app.core.clock import FakeClock
from app.core.db import Sessions
from app.core.resources import Resources


@pytest.mark.usefixtures("seeded")
async def test_tree_is_at_most_five_seconds_old(
    resources: Resources, sessions: Sessions, clock: FakeClock
) -> None:
    first = await current_tree(resources)
    async with sessions.begin() as session:
        await session.execute(update(Category).where(Category.code == "04").values(active=False))
    clock.advance(timedelta(seconds=4))
    assert await current_tree(resources) is first
    clock.advance(timedelta(seconds=1))
    node = (await current_tree(resources)).get("04")
    assert node is not None
    assert not node.active


async def test_clock_set_back_makes_a_snapshot_stale(clock: FakeClock) -> None:
    numbers = iter(range(9))

    async def load() -> int:
        return next(numbers)

    fresh = Fresh(clock, load)
    assert [await fresh.get(), await fresh.get()] == [0, 0]
    clock.advance(timedelta(hours=-1))
    assert await fresh.get() == 1


async def test_many_that_wait_read_once(clock: FakeClock) -> None:
    reads: list[int] = []
    opened = asyncio.Event()

    async def load() -> int:
        await opened.wait()
        reads.append(1)
        return len(reads)

    fresh = Fresh(clock, load)
    waiting = [asyncio.ensure_future(fresh.get()) for _ in range(5)]
    await asyncio.sleep(0)
    opened.set()
    assert await asyncio.gather(*waiting) == [1] * 5


async def test_failed_read_is_tried_again(clock: FakeClock) -> None:
    reads = iter(("", "tree"))

    async def load() -> str:
        return next(reads) or _gone()

    fresh = Fresh(clock, load)
    with pytest.raises(RuntimeError):
        await fresh.get()
    assert await fresh.get() == "tree"


def _gone() -> str:
    raise RuntimeError("gone")
