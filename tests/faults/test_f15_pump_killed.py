"""F15, R6: the pump is killed between the request and its outcome: sent again, never lost."""

import asyncio
import random
from collections import Counter

import pytest
from sqlalchemy import text

from app.core.db import new_id
from app.simulation.receiver import Receiver
from app.webhooks import sealing
from app.webhooks.models import Delivery, Endpoint
from app.webhooks.signing import new_secret
from tests.faults.conftest import Tell
from tests.faults.servers import Server
from tests.faults.world import World

DELIVERIES, KILLS, INCIDENTS = 40, 4, 3
LOOPBACK = "127.0.0.0/8"
_CHANCE = random.Random()  # noqa: S311 - when it happens, not a secret
_LEFT = "SELECT count(*) FROM deliveries WHERE state <> 'delivered'"
_TIME_PASSES = text(
    "UPDATE deliveries SET next_attempt_at = clock_timestamp() WHERE state IN ('queued', 'sending')"
)
"""Leases end and ladders are climbed: what else would take minutes."""
_PULL_FORWARD = text("UPDATE webhook_endpoints SET open_until = NULL")
_UNFINISHED = """
    SELECT count(*) FROM delivery_attempts WHERE status IS NULL AND error IS NULL"""
_INTERRUPTED = "SELECT count(*) FROM delivery_attempts WHERE error = 'interrupted'"
_MORE_ATTEMPTS_THAN_ROWS = """
    SELECT count(*) FROM deliveries d WHERE attempts <> (
      SELECT count(*) FROM delivery_attempts a WHERE a.delivery_id = d.id)"""


async def test_f15_killed_while_the_platform_thinks_it_is_sent_again_with_the_same_id(
    world: World,
) -> None:
    async with Receiver().listening() as receiver:
        (sent,) = await _queued(world, receiver, count=1, expected=False)
        pump = await _pump(world)
        await world.until("SELECT count(*) FROM deliveries WHERE state = 'sending'", 1)
        # the attempt is written down, the platform has the request and no answer has left it
        assert await world.count(_UNFINISHED) == 1
        await pump.kill()
        receiver.expect(_SECRET)
        await _time_passes(world)
        await pump.start()
        await world.until(_LEFT, 0)
    ids = [heard.webhook_id for heard in receiver.heard]
    assert set(ids) == {sent}
    assert await world.count(_INTERRUPTED) == 1
    assert await world.count(_UNFINISHED) == 0
    assert world.bugs() == []


@pytest.mark.parametrize("ordered", [False, True], ids=["side by side", "ordered"])
async def test_f15_r6_kills_lose_no_delivery(world: World, tell: Tell, *, ordered: bool) -> None:
    """Killed as it comes, four times: all of them arrive, in their order where that was asked."""
    async with Receiver().listening() as receiver:
        sent = await _queued(world, receiver, DELIVERIES, ordered=ordered)
        pump = await _pump(world)
        for _ in range(KILLS):
            already = len(receiver.heard)
            await _heard_more(receiver, already, _CHANCE.randint(1, 5))
            await pump.kill()
            await _time_passes(world)
            await pump.start()
        await world.until(_LEFT, 0)
    heard = [each.webhook_id for each in receiver.heard]
    assert set(heard) == set(sent)
    assert receiver.refused == 0
    assert await world.count(_UNFINISHED) == 0
    assert await world.count(_MORE_ATTEMPTS_THAN_ROWS) == 0
    if ordered:
        for number in range(INCIDENTS):
            firsts = dict.fromkeys(
                each.message["data"]["sequence"]
                for each in receiver.heard
                if each.message["data"]["incident"] == number
            )
            assert list(firsts) == sorted(firsts)
    again = sum(count - 1 for count in Counter(heard).values())
    interrupted = await world.count(_INTERRUPTED)
    tell(
        f"F15: {len(sent)} deliveries, {pump.kills} kills, {interrupted} interrupted, {again} again"
    )
    assert world.bugs() == []


_SECRET = new_secret()


async def _heard_more(receiver: Receiver, already: int, count: int) -> None:
    async with asyncio.timeout(30):
        while len(receiver.heard) < min(already + count, DELIVERIES):
            receiver.news.clear()
            await receiver.news.wait()


async def _pump(world: World) -> Server:
    return await world.serve("pump", ETONG_WEBHOOKS__ALLOWED_NETWORKS=LOOPBACK)


async def _time_passes(world: World) -> None:
    for statement in (_PULL_FORWARD, _TIME_PASSES):
        async with world.resources.sessions.begin() as session:
            await session.execute(statement)


async def _queued(
    world: World, receiver: Receiver, count: int, *, expected: bool = True, ordered: bool = False
) -> list[str]:
    """An active endpoint and its deliveries, due now; their ids in order."""
    if expected:
        receiver.expect(_SECRET)
    resources = world.resources
    endpoint = Endpoint(
        id=new_id(),
        url=f"http://127.0.0.1:{receiver.port}/",
        description="",
        types=["*"],
        area_codes=["620802"],
        ordered=ordered,
        state="active",
        secret=resources.keys.seal(sealing.PURPOSE, _SECRET),
        owner_area="620802",
        created_by=new_id(),
        created_at=resources.clock.now(),
    )
    subjects = [new_id() for _ in range(INCIDENTS)]
    rows = [
        Delivery(
            id=new_id(),
            endpoint_id=endpoint.id,
            event_id=number + 1,
            subject_id=subjects[number % INCIDENTS],
            type="incident.reported",
            body=b'{"type":"incident.reported","data":{"incident":%d,"sequence":%d}}'
            % (number % INCIDENTS, number + 1),
            next_attempt_at=resources.clock.now(),
            created_at=resources.clock.now(),
        )
        for number in range(count)
    ]
    async with resources.sessions.begin() as session:
        session.add(endpoint)
        await session.flush()
        session.add_all(rows)
    await _time_passes(world)
    return [str(row.id) for row in rows]
