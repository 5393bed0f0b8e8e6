import asyncio
import math
import time
from datetime import timedelta

import pytest
from prometheus_client import Counter

from app.core.clock import FakeClock
from app.core.db import Sessions
from app.core.memory_store import MemoryStore
from app.core.metrics import Metrics
from app.core.resources import Resources
from app.core.settings import Settings
from app.core.wakeups import MemoryWakeups


@pytest.fixture
def resources(settings: Settings, sessions: Sessions, clock: FakeClock) -> Resources:
    return Resources(settings, sessions, MemoryStore(), MemoryWakeups(), clock)


async def test_a_gauge_that_fails_hides_no_other(resources: Resources) -> None:
    metrics = resources.the(Metrics)

    async def broken(_: Resources) -> float:
        await asyncio.sleep(0)
        raise RuntimeError

    async def waiting(_: Resources) -> float:
        return await asyncio.sleep(0, 12.5)

    metrics.age("broken_oldest_seconds", "…", broken)
    metrics.age("outbox_oldest_seconds", "…", waiting)
    ages = await metrics.ages()
    assert math.isnan(ages["broken_oldest_seconds"])
    assert ages["outbox_oldest_seconds"] == 12.5
    text = (await metrics.exposition()).decode()
    assert "outbox_oldest_seconds 12.5" in text
    assert "broken_oldest_seconds NaN" in text
    assert 'metrics_reads_failed_total{gauge="broken_oldest_seconds"} 1.0' in text


async def test_a_name_is_registered_once(resources: Resources) -> None:
    async def none(_: Resources) -> float:
        return await asyncio.sleep(0, 0.0)

    resources.the(Metrics).age("unrouted_oldest_seconds", "…", none)
    with pytest.raises(ValueError, match="Duplicated"):
        resources.the(Metrics).age("unrouted_oldest_seconds", "…", none)


async def test_gauges_are_read_at_most_every_five_seconds(
    resources: Resources, clock: FakeClock
) -> None:
    read: list[int] = []

    async def count(_: Resources) -> float:
        read.append(1)
        return await asyncio.sleep(0, float(len(read)))

    metrics = resources.the(Metrics)
    metrics.age("media_pending_oldest_seconds", "…", count)
    await asyncio.gather(*(metrics.exposition() for _ in range(20)))
    assert len(read) == 1
    clock.advance(timedelta(seconds=5))
    assert (await metrics.ages())["media_pending_oldest_seconds"] == 2
    clock.advance(timedelta(minutes=-5))
    assert (await metrics.ages())["media_pending_oldest_seconds"] == 3


async def test_registries_are_separate(settings: Settings, sessions: Sessions) -> None:
    one, two = (
        Resources(settings, sessions, MemoryStore(), MemoryWakeups()).the(Metrics) for _ in range(2)
    )
    Counter("uploads_total", "…", registry=one.registry).inc()
    assert b"uploads_total" in await one.exposition()
    assert b"uploads_total" not in await two.exposition()


async def test_the_loops_lag_is_seen(resources: Resources) -> None:
    metrics = resources.the(Metrics)
    watch = asyncio.create_task(metrics.watch_loop(every_s=0.01))
    await asyncio.sleep(0.02)
    time.sleep(0.2)  # noqa: ASYNC251 - blocking the loop is the point
    await asyncio.sleep(0.02)
    watch.cancel()
    lag = metrics.registry.get_sample_value("event_loop_lag_seconds")
    assert lag is not None
    assert 0.1 < lag < 5
