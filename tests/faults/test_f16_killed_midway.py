"""F15, F16: relay or pump dies half-way; another goes on, nothing is done twice or lost."""

import asyncio
import time

import httpx
from sqlalchemy import text

from app.simulation.receiver import Receiver
from tests.faults.hearing import people_of
from tests.faults.servers import Server
from tests.faults.telling import tell_each
from tests.faults.wire import new_report, posting, send_until_answered, token
from tests.faults.world import WAITING_FOR_LOCKS, World

TAKEN_OVER_S = 5.0
WITHIN_S = 20.0
NOTICES = "SELECT count(*) FROM notices"


async def test_f16_a_relay_killed_in_the_middle_of_a_reaction_is_succeeded_in_5_s(
    world: World,
) -> None:
    """Its statement waits for a lock when it dies: the database itself has to notice that."""
    active, standby = [await world.serve("relay") for _ in range(2)]
    await _leads(active, standby)
    people = await people_of(world)
    async with world.resources.sessions.engine.connect() as connection:
        await connection.execute(text("LOCK TABLE notices IN SHARE MODE"))
        await tell_each(world, people, 5)
        await world.until(WAITING_FOR_LOCKS, 1)
        killed = time.monotonic()
        await active.kill()
        await world.until("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0)
        await _leads(standby, active)
        await connection.rollback()
    await world.until(NOTICES, 10)
    assert time.monotonic() - killed < TAKEN_OVER_S
    await world.drained()
    assert await world.count(NOTICES) == 10
    assert await world.violations() == []


async def test_f16_an_idle_relay_that_is_killed_is_succeeded_in_5_s(world: World) -> None:
    active, standby = [await world.serve("relay") for _ in range(2)]
    await _leads(active, standby)
    people = await people_of(world)
    await active.kill()
    killed = time.monotonic()
    await tell_each(world, people, 1)
    await world.until(NOTICES, 2)
    assert time.monotonic() - killed < TAKEN_OVER_S


async def test_f15_a_pump_killed_before_it_could_write_the_outcome_delivers_again(
    world: World,
) -> None:
    """The platform has it, we do not know: the same id comes once more, never a new one."""
    networks = {"ETONG_WEBHOOKS__ALLOWED_NETWORKS": "127.0.0.0/8"}
    api, _ = await world.serve("api", None, **networks), await world.serve("relay")
    pump = await world.serve("pump", None, **networks)
    receiver = Receiver()
    async with receiver.listening():
        receiver.expect(await _subscribe(api, receiver.port))
        await world.until("SELECT count(*) FROM webhook_endpoints WHERE state = 'active'", 1)
        receiver.mode = "slow"
        made = new_report(1, photos=0)
        signed = await token(api.url)
        await send_until_answered(api.url, posting(made, signed))
        await _heard(receiver, 1)
        await pump.kill()
        receiver.mode = "ok"
        await _leases_run_out(world)
        await pump.start()
        await _heard(receiver, 2)
        await world.until(_UNDELIVERED, 0)
        first, second = _reported(receiver)
    assert first == second
    assert await world.count(_ATTEMPTS) == 2
    assert await world.count(f"{_ATTEMPTS} AND error = 'interrupted'") == 1


_UNDELIVERED = """
    SELECT count(*) FROM deliveries WHERE type = 'incident.reported' AND state <> 'delivered'"""
_ATTEMPTS = """
    SELECT count(*) FROM delivery_attempts a JOIN deliveries d ON d.id = a.delivery_id
    WHERE d.type = 'incident.reported'"""


async def _subscribe(api: Server, port: int) -> str:
    """The endpoint's secret."""
    headers = {"Authorization": f"Bearer {await token(api.url, 'admin')}"}
    wanted = {
        "url": f"http://127.0.0.1:{port}/",
        "area_codes": ["620802105"],
        "types": ["incident.reported"],
    }
    async with httpx.AsyncClient(base_url=api.url, headers=headers, trust_env=False) as client:
        answer = await client.post("/v1/webhook-endpoints", json=wanted)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["secret"])


async def _leases_run_out(world: World) -> None:
    """A minute passes."""
    async with world.resources.sessions.begin() as session:
        await session.execute(
            text(
                "UPDATE deliveries SET next_attempt_at = next_attempt_at - interval '1 minute'"
                " WHERE state = 'sending'"
            )
        )


def _reported(receiver: Receiver) -> list[str]:
    return [h.webhook_id for h in receiver.heard if h.message["type"] == "incident.reported"]


async def _heard(receiver: Receiver, count: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while len(_reported(receiver)) < count:
            await receiver.news.wait()
            receiver.news.clear()


async def _leads(relay: Server, other: Server) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not relay.events("relay_active"):  # noqa: ASYNC110 - another process's log
            await asyncio.sleep(0.02)
    assert not (other.alive and other.events("relay_active"))
