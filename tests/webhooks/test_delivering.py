"""W1–W11, W14: who is told, signed how, when again, and when no more."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text

from app.webhooks.claiming import LEASE, claim
from app.webhooks.ladder import WAITS
from app.webhooks.sending import Outcome
from app.webhooks.signing import verify
from tests.webhooks.receivers import Call, Platform, status


async def test_w14_nothing_is_sent_before_the_ping_is_answered(platform: Platform) -> None:
    platform.receiver.answer = status(500)
    made = await platform.subscribe()
    assert made["state"] == "pending"
    await platform.district.report()
    await platform.pump.drain()
    assert [call.json["type"] for call in platform.receiver.calls] == ["webhook.ping"]
    platform.receiver.answer = status(204)
    platform.district.clock.advance(timedelta(minutes=1))
    await platform.pump.drain()
    assert await platform.state() == "active"
    await platform.district.report()
    await platform.told()
    assert len(platform.receiver.of("incident.reported")) == 1


async def test_w1_w2_every_attempt_is_signed_anew_under_the_same_id(platform: Platform) -> None:
    await platform.subscribe()
    platform.receiver.answer = status(500)
    await platform.district.report(text="楼道堆放杂物")
    await platform.pump.drain()
    platform.district.clock.advance(timedelta(seconds=10))
    platform.receiver.answer = status(200)
    await platform.pump.drain()
    first, second = platform.receiver.of("incident.reported")
    now = platform.district.clock.now()
    assert verify([platform.secret], second.headers, second.body, now)
    assert verify([platform.secret], first.headers, first.body, now)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert first.body == second.body
    (delivery,) = await platform.deliveries()
    assert delivery["id"] == first.headers["webhook-id"]
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 200]
    assert delivery["state"] == "delivered"


async def test_w1_for_a_day_after_a_rotation_both_secrets_sign(platform: Platform) -> None:
    await platform.subscribe()
    former = platform.secret
    newer = (await platform.ask("/rotate-secret", "POST"))["secret"]
    await platform.district.report()
    await platform.pump.drain()
    call = platform.receiver.of("incident.reported")[-1]
    now = platform.district.clock.now()
    assert verify([former], call.headers, call.body, now)
    assert verify([newer], call.headers, call.body, now)
    platform.district.clock.advance(timedelta(hours=25))
    await platform.district.report()
    await platform.pump.drain()
    call = platform.receiver.of("incident.reported")[-1]
    assert len(call.headers["webhook-signature"].split()) == 1
    assert verify([newer], call.headers, call.body, platform.district.clock.now())


async def test_w4_ten_attempts_up_the_ladder_then_dead_then_replayed(platform: Platform) -> None:
    await platform.subscribe(types=["incident.reported"])
    platform.receiver.answer = status(503)
    clock = platform.district.clock
    await platform.district.report()
    started = clock.now()
    times: list[timedelta] = []
    for _ in range(10):
        await platform.pump.drain()
        (delivery,) = await platform.deliveries()
        times.append(clock.now() - started)
        if delivery["next_attempt_at"] is None:
            break
        due = datetime.fromisoformat(delivery["next_attempt_at"])
        # the breaker opens after ten failures in a row: a minute at most
        clock.advance(due - clock.now())
    waits = [after - before for before, after in pairwise(times)]
    assert len(times) == 10
    for wait, planned in zip(waits, WAITS, strict=True):
        assert 0.8 * planned <= wait <= 1.2 * planned
    assert delivery["state"] == "dead"
    assert len(delivery["attempts"]) == 10

    platform.receiver.answer = status(200)
    clock.advance(timedelta(minutes=2))
    replayed = await platform.ask("/replay", "POST", delivery_id=delivery["id"])
    assert replayed == {"replayed": 1}
    await platform.pump.drain()
    (delivery,) = await platform.deliveries()
    assert (delivery["state"], len(delivery["attempts"])) == ("delivered", 11)
    ids = {call.headers["webhook-id"] for call in platform.receiver.of("incident.reported")}
    assert ids == {delivery["id"]}


async def test_w4_retry_after_is_honoured_up_to_a_day(platform: Platform) -> None:
    await platform.subscribe()
    platform.receiver.answer = lambda _: Outcome(429, 1, retry_after_s=3600)
    await platform.district.report()
    await platform.pump.drain()
    (delivery,) = await platform.deliveries()
    due = datetime.fromisoformat(delivery["next_attempt_at"])
    assert due - platform.district.clock.now() == timedelta(hours=1)


async def test_w6_410_disables_at_once_and_resuming_sends_what_waited(platform: Platform) -> None:
    await platform.subscribe()
    platform.receiver.answer = status(410)
    await platform.district.report()
    await platform.pump.drain()
    endpoint = await platform.ask()
    assert (endpoint["state"], endpoint["disabled_reason"]) == ("disabled", "gone")
    before = len(platform.receiver.calls)
    for _ in range(3):
        await platform.district.report()
    platform.district.clock.advance(timedelta(days=1))
    await platform.told()
    assert len(platform.receiver.calls) == before
    platform.receiver.answer = status(200)
    assert (await platform.ask("/resume", "POST"))["state"] == "active"
    await platform.pump.drain()
    assert {d["state"] for d in await platform.deliveries()} == {"delivered"}
    assert len(await platform.deliveries()) == 4


async def test_w6_five_days_of_nothing_but_failures_disable(platform: Platform) -> None:
    await platform.subscribe()
    platform.receiver.answer = status(500)
    for _ in range(30):
        await platform.district.report()
        await platform.pump.drain()
        platform.district.clock.advance(timedelta(hours=5))
        if await platform.state() == "disabled":
            break
    endpoint = await platform.ask()
    assert endpoint["disabled_reason"] == "failing"
    assert endpoint["failures"] >= 20
    since = datetime.fromisoformat(endpoint["failing_since"])
    assert platform.district.clock.now() - since >= timedelta(days=5)


async def test_w7_filters_by_type_and_area(platform: Platform) -> None:
    await platform.subscribe(types=["incident.reported"], area_codes=["620802105"])
    await platform.district.report("worker-minxin", place=None)
    await platform.district.report("worker-yonghong")
    await platform.pump.drain()
    assert {call.json["type"] for call in platform.receiver.calls} == {
        "webhook.ping",
        "incident.reported",
    }
    assert len(platform.receiver.of("incident.reported")) == 1


async def test_w9_the_payload_has_no_words_of_people(platform: Platform) -> None:
    await platform.subscribe()
    receipt = await platform.district.report(text="邻居王某投诉噪音")
    await platform.told()
    (call,) = platform.receiver.of("incident.reported")
    data = call.json["data"]
    assert (data["incident_id"], data["number"]) == (receipt["id"], receipt["number"])
    assert (data["sequence"], data["category"]) == (1, "0201")
    assert "王某".encode() not in call.body
    (opened,) = platform.receiver.of("incident.step_opened")
    assert opened.json["data"]["sequence"] == 2
    assert "村" in opened.json["data"]["unit"]["name"]
    assert len(call.body) < 20_000


async def test_w9_of_a_sealed_matter_ids_and_state_only(platform: Platform) -> None:
    await platform.subscribe()
    await platform.district.report(category="0301")
    await platform.told()
    for call in platform.receiver.calls[1:]:
        told = {key for key, value in call.json["data"].items() if value is not None}
        assert told == {
            "incident_id",
            "number",
            "revision",
            "sequence",
            "state",
            "sealed",
            "links",
        }


async def test_w10_an_ordered_endpoint_hears_one_incident_in_order(platform: Platform) -> None:
    await platform.subscribe(ordered=True)
    refused: list[str] = []

    def refuse_first(call: Call) -> Outcome:
        if call.json["type"] == "incident.reported" and not refused:
            refused.append(call.headers["webhook-id"])
            return Outcome(500, 1)
        return Outcome(200, 1)

    platform.receiver.answer = refuse_first
    await platform.district.report()
    await platform.told()
    assert [c.json["type"] for c in platform.receiver.calls[1:]] == ["incident.reported"]
    platform.district.clock.advance(timedelta(seconds=10))
    await platform.pump.drain()
    sequences = [call.json["data"]["sequence"] for call in platform.receiver.calls[1:]]
    assert sequences == [1, 1, 2]


async def test_w11_after_ten_failures_in_a_row_one_delivery_tries_at_a_time(
    platform: Platform,
) -> None:
    await platform.subscribe(types=["incident.reported"])
    platform.receiver.answer = status(500)
    for _ in range(12):
        await platform.district.report()
    await platform.pump.drain()
    first = len(platform.receiver.of("incident.reported"))
    assert first == 12
    platform.district.clock.advance(timedelta(seconds=30))
    await platform.pump.drain()
    assert len(platform.receiver.of("incident.reported")) == first, "the breaker is open"
    platform.district.clock.advance(timedelta(seconds=31))
    await platform.pump.drain()
    assert len(platform.receiver.of("incident.reported")) == first + 1, "one probe"
    platform.receiver.answer = status(200)
    platform.district.clock.advance(timedelta(minutes=10))
    await platform.pump.drain()
    assert {d["state"] for d in await platform.deliveries()} == {"delivered"}


async def test_w3_a_pump_killed_after_the_call_sends_it_again(platform: Platform) -> None:
    await platform.subscribe(types=["incident.reported"])
    await platform.district.report()
    resources = platform.district.resources
    async with resources.sessions.begin() as session:
        (lost,) = await claim(session, resources.clock.now(), [])
    await platform.pump.drain()
    assert platform.receiver.of("incident.reported") == []
    platform.district.clock.advance(LEASE + timedelta(seconds=1))
    await platform.pump.drain()
    (call,) = platform.receiver.of("incident.reported")
    assert call.headers["webhook-id"] == str(lost.id)
    (delivery,) = await platform.deliveries()
    errors = [attempt["error"] for attempt in delivery["attempts"]]
    assert errors == ["interrupted", None]


async def test_w8_replay_of_a_span_and_of_what_failed(platform: Platform) -> None:
    await platform.subscribe(types=["incident.reported"])
    began = platform.district.clock.now()
    await platform.district.report()
    await platform.pump.drain()
    platform.receiver.answer = status(500)
    platform.district.clock.advance(timedelta(hours=1))
    await platform.district.report()
    await platform.pump.drain()
    platform.receiver.answer = status(200)
    now = platform.district.clock.now()
    failed = await platform.ask("/replay", "POST", failed_since=began.isoformat())
    assert failed == {"replayed": 1}
    await platform.pump.drain()
    span = {"from": began.isoformat(), "to": now.isoformat()}
    # the ping is one of them
    assert (await platform.ask("/replay", "POST", **span))["replayed"] == 3
    await platform.pump.drain()
    calls = [call.headers["webhook-id"] for call in platform.receiver.of("incident.reported")]
    assert len(calls) == 5
    assert len(set(calls)) == 2


@pytest.mark.parametrize("kind", ["pause", "resume"])
async def test_w7_a_pending_endpoint_is_neither_paused_nor_resumed(
    platform: Platform, kind: str
) -> None:
    platform.receiver.answer = status(500)
    await platform.subscribe()
    client = await platform.district.client("admin")
    answer = await client.post(f"/v1/webhook-endpoints/{platform.id}/{kind}")
    assert (answer.status_code, answer.json()["code"]) == (409, "endpoint-not-active")


async def test_w7_paused_deliveries_wait(platform: Platform) -> None:
    await platform.subscribe(types=["incident.reported"])
    await platform.ask("/pause", "POST")
    await platform.district.report()
    await platform.pump.drain()
    assert platform.receiver.of("incident.reported") == []
    await platform.ask("/resume", "POST")
    await platform.pump.drain()
    assert len(platform.receiver.of("incident.reported")) == 1


async def test_w7_the_secret_is_sealed_at_rest(platform: Platform) -> None:
    await platform.subscribe()
    async with platform.district.resources.sessions.read() as session:
        stored = await session.scalar(text("SELECT secret FROM webhook_endpoints"))
    assert platform.secret.startswith("whsec_")
    assert platform.secret not in str(stored)
    assert "secret" not in await platform.ask()
