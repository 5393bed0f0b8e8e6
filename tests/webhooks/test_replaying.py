"""R6, W8, W9, W12, F19: nothing is lost for good, nothing is kept for ever, nobody is misled."""

import asyncio
import socket
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from sqlalchemy import text

from app.core.settings import WebhookSettings
from app.simulation.receiver import Receiver as Simulated
from app.webhooks.endpoints import KEPT_FOR, prune_deliveries
from app.webhooks.payloads import IncidentFacts, IncidentMessage, Links, body_of, shortened
from app.webhooks.pump import Pump
from app.webhooks.sending import HttpSender
from tests.district import District
from tests.webhooks.receivers import Platform, Receiver, status

LOOPBACK = ip_network("127.0.0.0/8")


async def test_r6_who_subscribed_at_the_time_of_the_event_gets_it_and_nobody_later(
    platform: Platform,
) -> None:
    await platform.district.report()
    await platform.subscribe(types=["incident.reported"])
    await platform.told()
    assert platform.receiver.of("incident.reported") == []
    await platform.district.report()
    await platform.told()
    assert len(platform.receiver.of("incident.reported")) == 1


async def test_r6_who_moves_misses_nothing_meanwhile(platform: Platform) -> None:
    await platform.subscribe(types=["incident.reported"])
    platform.receiver.answer = status(500)
    client = await platform.district.client("admin")
    path = f"/v1/webhook-endpoints/{platform.id}"
    tag = (await client.get(path)).headers["etag"]
    moved = await client.patch(path, json={"url": "https://1.1.1.1/new"}, headers={"If-Match": tag})
    assert (moved.status_code, moved.json()["state"]) == (200, "pending")
    await platform.district.report()
    await platform.told()
    assert platform.receiver.of("incident.reported") == [], "not before the ping is answered"
    platform.receiver.answer = status(204)
    platform.district.clock.advance(timedelta(minutes=10))
    await platform.told()
    assert await platform.state() == "active"
    assert len(platform.receiver.of("incident.reported")) == 1


async def test_w6_disabled_and_resumed_its_revision_has_grown(platform: Platform) -> None:
    await platform.subscribe()
    platform.receiver.answer = status(410)
    seen = (await platform.ask())["revision"]
    await platform.district.report()
    await platform.pump.drain()
    disabled = await platform.ask()
    assert (disabled["state"], disabled["disabled_reason"]) == ("disabled", "gone")
    assert disabled["revision"] == seen + 1
    async with platform.district.resources.sessions.read() as session:
        noted = await session.scalar(
            text("SELECT count(*) FROM audit_entries WHERE action = 'webhook_endpoint.disabled'")
        )
    assert noted == 1


async def test_w6_the_other_endpoints_of_the_area_are_told_of_it(platform: Platform) -> None:
    await platform.subscribe(types=["endpoint.disabled"])
    await platform.subscribe(types=["incident.*"])
    gone = platform.id
    platform.receiver.answer = status(410)
    await platform.district.report()
    await platform.pump.drain()
    platform.receiver.answer = status(200)
    await platform.told()
    (call,) = platform.receiver.of("endpoint.disabled")
    assert call.json["data"] == {"endpoint_id": gone, "reason": "gone"}


async def test_w6_operators_of_the_area_and_above_are_told_of_it(platform: Platform) -> None:
    await platform.subscribe()
    platform.receiver.answer = status(410)
    await platform.district.report()
    await platform.pump.drain()
    await platform.district.drain()
    (notice,) = await _told(platform, "admin")
    assert (notice["incident_id"], notice["number"]) == (None, "")
    assert notice["state"] == "disabled"
    assert platform.id in notice["body"]
    assert "410" in notice["body"]
    for other in ("desk-liuhu", "worker-yonghong", "security"):
        assert await _told(platform, other) == []


async def test_w6_told_once_whatever_is_sent_again(platform: Platform) -> None:
    await platform.subscribe()
    platform.receiver.answer = status(410)
    for _ in range(2):
        await platform.district.report()
        await platform.pump.drain()
        platform.district.clock.advance(timedelta(days=1))
    await platform.told()
    assert len(await _told(platform, "admin")) == 1


async def _told(platform: Platform, username: str) -> list[dict[str, Any]]:
    client = await platform.district.client(username)
    items = (await client.get("/v1/inbox", params={"after": 0})).json()["items"]
    return [item for item in items if item["type"] == "endpoint.disabled"]


async def test_f19_says_2xx_but_drops_and_the_span_is_replayed(district: District) -> None:
    """A liar's deliveries look delivered; when it is honest again, its day comes once more."""
    _allow(district)
    sender = HttpSender((LOOPBACK,))
    pump = Pump(district.resources, sender)
    async with Simulated(clock=district.clock).listening() as receiver:
        platform = Platform(district, Receiver(), pump)  # but a real one listens
        await _subscribe(platform, receiver)
        receiver.mode = "lies"
        began = district.clock.now()
        for _ in range(3):
            district.clock.advance(timedelta(minutes=1))
            await district.report()
            await platform.told()
        deliveries = await platform.deliveries()
        assert [d["state"] for d in deliveries] == ["delivered"] * 3
        assert [h for h in receiver.heard if h.message["type"] != "webhook.ping"] == []
        receiver.mode = "ok"
        receiver.heard.clear()
        span = {
            "from": (began + timedelta(seconds=1)).isoformat(),
            "to": district.clock.now().isoformat(),
        }
        assert await platform.ask("/replay", "POST", **span) == {"replayed": 3}
        await pump.drain()
        assert sorted(h.webhook_id for h in receiver.heard) == sorted(d["id"] for d in deliveries)
        assert receiver.refused == 0
    await sender.close()


async def test_w8_what_is_done_is_forgotten_after_thirty_days_and_what_waits_is_not(
    platform: Platform,
) -> None:
    await platform.subscribe(types=["incident.reported"])
    await platform.district.report()
    await platform.told()
    platform.receiver.answer = status(500)
    await platform.district.report()
    await platform.told()
    now, sessions = platform.district.clock.now(), platform.district.resources.sessions
    for at, kept in ((now + KEPT_FOR, 2), (now + KEPT_FOR + timedelta(minutes=1), 1)):
        async with sessions.begin() as session:
            await prune_deliveries(session, at)
        assert len(await platform.deliveries()) == kept
    (left,) = await platform.deliveries()
    assert left["state"] == "queued"
    async with sessions.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM delivery_attempts")) == 1


async def test_w8_a_delivery_that_is_being_sent_is_not_sent_twice(platform: Platform) -> None:
    await platform.subscribe(types=["incident.reported"])
    await platform.district.report()
    await platform.district.drain()
    async with platform.district.resources.sessions.begin() as session:
        await session.execute(
            text("UPDATE deliveries SET state = 'sending' WHERE type = 'incident.reported'")
        )
    (delivery,) = await platform.deliveries()
    assert await platform.ask("/replay", "POST", delivery_id=delivery["id"]) == {"replayed": 0}
    client = await platform.district.client("admin")
    nobodys = {"delivery_id": platform.id}
    answer = await client.post(f"/v1/webhook-endpoints/{platform.id}/replay", json=nobodys)
    assert (answer.status_code, answer.json()["code"]) == (404, "delivery-not-found")


def test_w9_the_longest_payload_is_below_twenty_kilobytes() -> None:
    long = "严" * 200
    message = IncidentMessage.model_validate(
        {
            "type": "incident.attachment_stored",
            "timestamp": "2026-03-11T04:00:00Z",
            "data": IncidentFacts(
                incident_id="0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a11",
                number=long,
                revision=2**53,
                sequence=2**53,
                state=long,
                category=long,
                urgency=long,
                area={"code": long, "name": long},
                unit={"id": "0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a11", "code": long, "name": long},
                outcome=shortened("果" * 100_000),
                action=long,
                links=Links(incident="https://etong.example/" + "x" * 1900),
            ).model_dump(),
        }
    )
    assert 10_000 < len(body_of(message)) <= 20_000


async def test_w12_a_name_that_is_private_on_the_second_look_is_not_called(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public when it was saved, our own network when it is called."""
    answers = ["1.1.1.1", "127.0.0.1"]

    async def getaddrinfo(_host: str, port: int, **_: Any) -> list[Any]:
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, port))]

    sender = HttpSender()
    pump = Pump(district.resources, sender)
    client = await district.client("admin")
    async with Simulated(clock=district.clock).listening() as receiver:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)
        wanted = {"url": "https://platform.example:8443/", "area_codes": ["620802105"]}
        answer = await client.post("/v1/webhook-endpoints", json=wanted)
        assert answer.status_code == 201, answer.text
        await pump.drain()
        assert receiver.heard == []
    path = f"/v1/webhook-endpoints/{answer.json()['id']}"
    assert (await client.get(path)).json()["state"] == "pending"
    (ping,) = (await client.get(f"{path}/deliveries")).json()["items"]
    assert [each["error"] for each in ping["attempts"]] == ["refused-address"]
    await sender.close()


def _allow(district: District) -> None:
    settings = district.resources.settings
    district.resources.settings = settings.model_copy(
        update={"webhooks": WebhookSettings(allowed_networks=(LOOPBACK,))}
    )


async def _subscribe(platform: Platform, receiver: Simulated) -> None:
    client = await platform.district.client("admin")
    url = f"http://127.0.0.1:{receiver.port}/"
    wanted = {"url": url, "area_codes": ["620802105"], "types": ["incident.reported"]}
    made = (await client.post("/v1/webhook-endpoints", json=wanted)).json()
    platform.id = made["id"]
    receiver.expect(made["secret"])
    await platform.pump.drain()
    assert await platform.state() == "active"
