"""F17, F18: a platform that is down for a day, and neighbours that hang: nobody misses anything."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network

from sqlalchemy import text

from app.core.settings import WebhookSettings
from app.simulation.receiver import Mode, Receiver
from app.webhooks.pump import Pump
from app.webhooks.sending import HttpSender
from tests.district import District
from tests.webhooks.receivers import Platform, status

LOOPBACK = ip_network("127.0.0.0/8")
HEALTHY, REPORTS = 9, 3
WITHIN_S = 20.0


async def test_f17_a_day_down_and_all_is_delivered_in_order_under_the_same_ids(
    platform: Platform,
) -> None:
    await platform.subscribe(ordered=True)
    platform.receiver.answer = status(503)
    clock = platform.district.clock
    numbers = []
    for hour in range(24):
        if hour % 4 == 0:
            numbers.append((await platform.district.report())["number"])
        await platform.told()
        clock.advance(timedelta(hours=1))
    tried = {call.headers["webhook-id"] for call in platform.receiver.calls[1:]}
    platform.receiver.answer = status(200)
    down = len(platform.receiver.calls)
    for _ in range(40):
        clock.advance(timedelta(hours=1))
        await platform.told()
    came = platform.receiver.calls[down:]
    sequences = defaultdict(list)
    for call in came:
        sequences[call.json["data"]["number"]].append(call.json["data"]["sequence"])
    assert sorted(sequences) == sorted(numbers)
    for heard in sequences.values():
        assert heard == sorted(set(heard)), "in order, and once after it was answered"
        assert heard[0] == 1
    assert tried <= {call.headers["webhook-id"] for call in came}
    assert {d["state"] for d in (await platform.ask("/deliveries"))["items"]} == {"delivered"}


async def test_f18_a_bad_neighbour_delays_nobody(district: District) -> None:
    """W11: one hangs, one answers 100 MB, nine are healthy; the real sender, the real pump."""
    bad: tuple[Mode, ...] = ("hang", "big")
    well: tuple[Mode, ...] = ("ok",)
    modes = (*bad, *(well * HEALTHY))
    async with AsyncExitStack() as stack:
        made = [Receiver(mode, clock=district.clock) for mode in modes]
        receivers = [await stack.enter_async_context(each.listening()) for each in made]
        pump = await stack.enter_async_context(_pumping(district, receivers))
        for _ in range(REPORTS):
            await district.report()
        await district.drain()
        healthy = receivers[len(bad) :]
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*(_heard(each, REPORTS) for each in healthy))
        assert len(pump.under_way) >= 1, "the one that hangs is still being waited for"
    for each in healthy:
        ids = [heard.webhook_id for heard in each.heard]
        assert len(ids) == len(set(ids))
        assert each.refused == 0


@asynccontextmanager
async def _pumping(district: District, receivers: list[Receiver]) -> AsyncIterator[Pump]:
    """Subscribed receivers, and a pump that runs."""
    settings = district.resources.settings
    district.resources.settings = settings.model_copy(
        update={"webhooks": WebhookSettings(allowed_networks=(LOOPBACK,))}
    )
    admin = await district.client("admin")
    for receiver in receivers:
        wanted = {
            "url": f"http://127.0.0.1:{receiver.port}/",
            "area_codes": ["620802105"],
            "types": ["incident.reported"],
        }
        answer = await admin.post("/v1/webhook-endpoints", json=wanted)
        assert answer.status_code == 201, answer.text
        receiver.expect(answer.json()["secret"])
    async with district.resources.sessions.begin() as session:
        # the bad ones answered a ping when they were well
        await session.execute(text("UPDATE webhook_endpoints SET state = 'active'"))
    sender, stop = HttpSender((LOOPBACK,), answer_s=30.0), asyncio.Event()
    pump = Pump(district.resources, sender)
    running = asyncio.create_task(pump.run(stop))
    try:
        yield pump
    finally:
        stop.set()
        for task in pump.under_way:
            task.cancel()
        await running
        await sender.close()


async def _heard(receiver: Receiver, count: int) -> None:
    while sum(h.message["type"] == "incident.reported" for h in receiver.heard) < count:
        await receiver.news.wait()
        receiver.news.clear()
