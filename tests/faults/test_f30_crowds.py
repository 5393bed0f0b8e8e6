"""F21, F29, F30, P10, P13: everybody at once, nobody reads, no connection is left."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app.notifications import stream
from tests.faults.conftest import Tell
from tests.faults.hearing import Screen, people_of, signed_in
from tests.faults.servers import Server
from tests.faults.telling import tell_each
from tests.faults.wire import new_report, posting, send, token
from tests.faults.world import WAITING_FOR_LOCKS, World

HERD, LARGE_HERD = 150, 1000
STALLED, MANY_STALLED = 60, 500
BACKLOG = 1000
"""Notices in the inbox of those who do not read: more than socket and server hold."""
KIB_A_STALLED = 300
POOL = 3
PUT_OFF = b"\r\n\r\nretry: 30000\n\n"
BACK_S = 60.0
TOLD_WITHIN_S = 4.0
"""The pool is waited for 2 s."""


async def test_f30_a_herd_comes_back_at_once_and_is_greeted(world: World, tell: Tell) -> None:
    tell(await _herd(world, HERD))


@pytest.mark.slow
async def test_f30_a_large_herd_comes_back_at_once(world: World, tell: Tell) -> None:
    tell(await _herd(world, LARGE_HERD))


async def _herd(world: World, count: int) -> str:
    api = await world.serve("api")
    person, _ = await people_of(world)
    tokens = await signed_in(world, person, count)
    async with _screens(api, tokens) as screens:
        await _greeted(screens)
        first = [screen.retries[0] for screen in screens]
        await api.kill()
        await asyncio.gather(*(screen.complete.wait() for screen in screens))
    # what a phone waits for is spread over five seconds; here nobody waits at all
    assert all(3000 <= retry <= 8000 for retry in first)
    assert len(set(first)) > count / 2
    await api.start()
    began = time.monotonic()
    async with _screens(api, tokens) as screens:
        await _greeted(screens)
        took = time.monotonic() - began
        # and the server is as well as before
        await world.serve("relay")
        await tell_each(world, [person], 1)
        assert all(await asyncio.gather(*(screen.heard(b"id: 1\n", BACK_S) for screen in screens)))
    assert api.alive
    assert world.bugs() == []
    return f"F30: {count} streams back at once, all greeted in {took:.1f} s"


async def test_p10_f21_who_does_not_read_costs_little_and_is_left(world: World, tell: Tell) -> None:
    tell(await _stalled(world, STALLED))


@pytest.mark.slow
async def test_p10_five_hundred_stalled_readers(world: World, tell: Tell) -> None:
    tell(await _stalled(world, MANY_STALLED))


async def _stalled(world: World, count: int) -> str:
    api = await world.serve("api", _impatient)
    await world.serve("relay")
    lazy, busy = await people_of(world)
    await tell_each(world, [lazy], BACKLOG)
    await world.drained()
    reading = (await signed_in(world, busy, 1))[0]
    tokens = await signed_in(world, lazy, count)
    async with _screens(api, [reading]) as (reader,):
        await _greeted([reader])
        before = _resident(api)
        async with _screens(api, tokens, reads=False):
            await tell_each(world, [busy], 1)
            assert await reader.heard(b"id: 1\n", BACK_S), "another reader is kept waiting"
            await _left(api, count)
            kib = (_resident(api) - before) / count
        assert not reader.complete.is_set()
    assert kib <= KIB_A_STALLED
    assert world.bugs() == []
    return f"F21: {count} readers that do not read cost {kib:.0f} KiB each, and were left"


def _impatient() -> None:
    """30 s are a long time for a test."""
    stream.SLOW_READER_S = 2.0


async def _left(api: Server, count: int) -> None:
    async with asyncio.timeout(BACK_S):
        while len(api.events("stream_too_slow")) < count:  # noqa: ASYNC110 - another process's log
            await asyncio.sleep(0.1)


async def test_f29_without_a_free_connection_it_says_so_in_2_s_and_stays_healthy(
    world: World,
) -> None:
    api = await world.serve("api", ETONG_DATABASE__POOL_SIZE=str(POOL))
    signed = await token(api.url)
    headers = {"Authorization": f"Bearer {signed}"}
    async with httpx.AsyncClient(base_url=api.url, headers=headers, trust_env=False) as client:
        async with world.intake_held():
            held = [
                asyncio.create_task(send(api.url, posting(new_report(n, photos=0), signed)))
                for n in range(POOL)
            ]
            await world.until(WAITING_FOR_LOCKS, POOL)
            began = time.monotonic()
            refused = await client.get("/v1/inbox")
            assert time.monotonic() - began < TOLD_WITHIN_S
            assert refused.status_code == 503
            assert refused.json()["code"] == "unavailable"
            assert int(refused.headers["retry-after"]) > 0
            # P8: a 503 would stop an EventSource for good
            later = await client.get("/v1/inbox/stream")
            assert (later.status_code, later.text) == (200, "retry: 30000\n\n")
            assert later.headers["content-type"].startswith("text/event-stream")
            for path in ("/health/live", "/health/ready"):
                assert (await client.get(path)).status_code == 200
        assert [answer.status for answer in await asyncio.gather(*held) if answer] == [201] * POOL
        assert (await client.get("/v1/inbox")).status_code == 200
    assert world.bugs() == []


async def test_p13_a_device_has_two_streams_also_on_two_processes(world: World) -> None:
    first, second = [await world.serve("api") for _ in range(2)]
    person, _ = await people_of(world)
    device, other = await signed_in(world, person, 2)
    async with (
        _screens(first, [device]) as (oldest,),
        _screens(first, [other]) as (stranger,),
    ):
        await _greeted([oldest, stranger])
        async with _screens(second, [device]) as (middle,):
            await _greeted([middle])
            assert not oldest.complete.is_set()
            async with _screens(second, [device]) as (newest,):
                await _greeted([newest])
                assert await oldest.heard(b'event: bye\ndata: {"reason":"replaced"}\n\n', 5.0)
                assert oldest.retries[-1] == 30000
                assert not middle.complete.is_set()
                assert not newest.complete.is_set()
    assert not stranger.complete.is_set()


@asynccontextmanager
async def _screens(
    api: Server, tokens: Sequence[str], *, reads: bool = True
) -> AsyncIterator[list[Screen]]:
    screens = [Screen(api.port, each, 0) for each in tokens]
    try:
        await asyncio.gather(*(screen.open(reads=reads) for screen in screens))
        yield screens
    finally:
        for screen in screens:
            await screen.close()


async def _greeted(screens: Sequence[Screen]) -> None:
    await asyncio.gather(*(_greeted_at_last(screen) for screen in screens))
    others = {screen.came[:300] for screen in screens if b"event: hello" not in screen.came}
    assert others == set()


async def _greeted_at_last(screen: Screen) -> None:
    """Who is put off (P8) comes back; here at once."""
    async with asyncio.timeout(BACK_S):
        while not await screen.heard(b"event: hello", BACK_S) and screen.came.endswith(PUT_OFF):
            await screen.close()
            screen.came = b""
            screen.complete.clear()
            await screen.open()


def _resident(server: Server) -> float:
    """KiB."""
    status = Path(f"/proc/{server.pid}/status").read_text("ascii")
    return float(status.partition("VmRSS:")[2].split()[0])
