"""P12, F20: links break, processes die, wakeups are lost, and every log is exactly 1…n."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.core.wakeups import PostgresWakeups
from app.simulation.cut_proxy import CutProxy, Fault
from tests.faults import sabotage
from tests.faults.conftest import Tell
from tests.faults.hearing import Client, people_of
from tests.faults.servers import Sabotage, Server
from tests.faults.telling import tell_each
from tests.faults.wire import token
from tests.faults.world import WORKERS, World

EVENTS, CUTS, KILLS = 100, 25, 1
MANY_EVENTS, MANY_CUTS, MANY_KILLS = 1000, 200, 8
LATE_S = 20.0
CONTROL_EVENTS = 60
_DEAF_OF_S = (3.0, 1.5)
"""Of so many seconds no wakeup leaves a relay for so many."""
_DOUBLED = "SELECT count(*) - count(DISTINCT (person_id, seq)) FROM notices"
_CHANCE = random.Random()  # noqa: S311 - when it happens, not a secret


async def test_p12_f20_f22_cuts_kills_and_lost_wakeups_and_every_log_is_one_to_n(
    world: World, tell: Tell
) -> None:
    tell(await _nothing_missed(world, EVENTS, CUTS, KILLS))


@pytest.mark.slow
async def test_p12_a_thousand_events_and_two_hundred_disconnects(world: World, tell: Tell) -> None:
    tell(await _nothing_missed(world, MANY_EVENTS, MANY_CUTS, MANY_KILLS))


async def test_p12_without_the_counters_lock_the_same_clients_miss_some(world: World) -> None:
    """The control run: else the clients prove nothing."""
    async with world.resources.sessions.begin() as session:
        for statement in sabotage.UNNUMBERED:
            await session.execute(text(statement))
    async with _audience(world, sabotage.number_by_counting) as (place, clients):
        people = await people_of(world)
        told = await tell_each(world, people, CONTROL_EVENTS)
        await world.drained()
        await asyncio.gather(*(client.until(CONTROL_EVENTS, 3.0) for client in clients))
        assert all(relay.alive for relay in place.relays)
    assert await world.count(_DOUBLED) > 0
    assert any(_wrong(client, told[person]) for client, person in _owned(clients, people))


async def _nothing_missed(world: World, events: int, cuts: int, kills: int) -> str:
    began = time.monotonic()
    async with _audience(world, _deaf_at_times) as (place, clients):
        people = await people_of(world)
        killing = asyncio.create_task(_kill(place, kills))
        told = await tell_each(world, people, events)
        await killing
        # what was not enough while events came is made up for while they are heard again
        for proxy in place.proxies:
            proxy.plan = _sound
        await world.drained()
        await asyncio.gather(*(client.until(events, LATE_S) for client in clients))
    done = sum(proxy.cuts for proxy in place.proxies)
    for client, person in _owned(clients, people):
        assert _wrong(client, told[person]) == ""
    assert done >= cuts, "the links were not bad enough"
    assert min(server.kills for server in (*place.apis, *place.relays)) >= 1
    assert world.bugs() == []
    connections = sum(client.connections for client in clients)
    dead = [server.kills for server in (*place.apis, *place.relays)]
    return (
        f"P12: {events} events each to {len(people)} people, {len(clients)} clients,"
        f" {done} cuts, kills of 2 APIs and 2 relays {dead}, {connections} connections,"
        f" {time.monotonic() - began:.0f} s"
    )


def _wrong(client: Client, told: Sequence[str]) -> str:
    """What is wrong with its log; nothing, where it is 1…n and tells of every event once."""
    numbers = [number for number, _ in client.log]
    if numbers != list(range(1, len(told) + 1)):
        return f"{len(numbers)} of {len(told)} notices, not in a row: {numbers}"
    if sorted(what for _, what in client.log) != sorted(told):
        return "an event is missing, another was told twice"
    return ""


class _Place:
    def __init__(self, apis: list[Server], relays: list[Server], proxies: list[CutProxy]) -> None:
        self.apis, self.relays, self.proxies = apis, relays, proxies


@asynccontextmanager
async def _audience(
    world: World, taken_out: Sabotage
) -> AsyncIterator[tuple[_Place, list[Client]]]:
    """Two APIs, two relays; of each person a terminal that streams and one that polls at each API.

    They sign in over sound links and hear over bad ones.
    """
    apis = [await world.serve("api", ETONG_WAKEUPS__POLL_S="1") for _ in range(2)]
    relays = [await world.serve("relay", taken_out) for _ in range(2)]
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(CutProxy(api.url, _bad)) for api in apis]
        clients = [
            Client(proxy.url, await token(api.url, username))
            for username, _ in WORKERS
            for api, proxy in zip(apis, proxies, strict=True)
            for _ in ("stream", "poll")
        ]
        hearing = [
            asyncio.create_task(client.poll() if turn % 2 else client.stream())
            for turn, client in enumerate(clients)
        ]
        try:
            yield _Place(apis, relays, proxies), clients
        finally:
            for task in hearing:
                task.cancel()
            endings = await asyncio.gather(*hearing, return_exceptions=True)
            failed = [end for end in endings if not isinstance(end, asyncio.CancelledError)]
            assert failed == []


def _owned(clients: Sequence[Client], people: Sequence[UUID]) -> list[tuple[Client, UUID]]:
    return [(client, people[turn // 4]) for turn, client in enumerate(clients)]


def _bad(_: int) -> Fault:
    """Cut anywhere: in the head, in the greeting, in the middle of a frame, between two."""
    return Fault(cut_answer_after=_CHANCE.randrange(1, 8000))


def _sound(_: int) -> Fault:
    return Fault()


async def _kill(place: _Place, kills: int) -> None:
    """Each of them so many times, one after the other; it is back at once."""
    victims = [*place.apis, *place.relays] * kills
    _CHANCE.shuffle(victims)
    for victim in victims:
        await asyncio.sleep(_CHANCE.uniform(0.1, 0.5))
        await victim.kill()
        await victim.start()


def _deaf_at_times() -> None:
    """In a relay: for a while every wakeup is lost, then none."""
    publish: Any = PostgresWakeups.publish

    async def lossy(self: PostgresWakeups, subjects: Any) -> None:
        every, deaf = _DEAF_OF_S
        if time.monotonic() % every >= deaf:
            await publish(self, subjects)

    PostgresWakeups.publish = lossy  # type: ignore[method-assign]
