"""Questions asked at the same moment, one statement for all of them."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.core.batching import Batched


class Answering:
    """Doubles numbers when it is let; notes what was asked together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.let = asyncio.Event()
        self.failure: Exception | None = None

    async def __call__(self, asked: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(asked))
        await self.let.wait()
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        return [2 * number for number in asked]


async def _gathered(batched: Batched[int, int], count: int) -> list[asyncio.Task[int]]:
    """The first question is being answered, the others wait for the next batch."""
    asking = [asyncio.create_task(batched.ask(number)) for number in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return asking


async def test_who_asks_meanwhile_is_answered_together() -> None:
    answering = Answering()
    batched = Batched(answering, 3)
    first = await _gathered(batched, 1)
    others = await _gathered(batched, 5)
    answering.let.set()
    assert await asyncio.gather(*first, *others) == [0, 0, 2, 4, 6, 8]
    assert answering.batches == [[0], [0, 1, 2], [3, 4]]


async def test_one_that_left_disturbs_nobody() -> None:
    answering = Answering()
    batched = Batched(answering, 10)
    first, second = await _gathered(batched, 2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    answering.let.set()
    assert await second == 2


async def test_a_failure_reaches_those_of_its_batch_and_nobody_else() -> None:
    answering = Answering()
    batched = Batched(answering, 10)
    (first,) = await _gathered(batched, 1)
    (second,) = await _gathered(batched, 1)
    answering.failure = ValueError("broken")
    answering.let.set()
    with pytest.raises(ValueError, match="broken"):
        await first
    assert await second == 0


async def test_f29_who_gathered_behind_a_wait_for_a_connection_is_told_with_it() -> None:
    """Else the last of them would be told after twice the time, or three times."""
    answering = Answering()
    batched = Batched(answering, 1)
    asking = await _gathered(batched, 3)
    answering.failure = PoolTimeout("none is free")
    answering.let.set()
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(each) for each in told] == [PoolTimeout] * 3
    assert answering.batches == [[0]]
    assert await batched.ask(4) == 8
