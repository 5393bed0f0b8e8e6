"""W16, R7: what platforms send back is kept, applied in order and once, and told."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from app.core.db import new_id
from app.incidents.models import HistoryEntry
from app.webhooks.applying import GIVE_UP, HOLD, LADDER
from app.webhooks.callback_pump import CallbackPump
from app.webhooks.callbacks import KEPT
from app.webhooks.models import Callback, CallbackSecret
from app.worker import upkeep
from tests.district import District
from tests.incidents.paths import UP, look, rows_of, walk
from tests.webhooks.calling import (
    PLATFORM,
    Calling,
    at_township,
    message,
    shown,
    signed_in_platform,
)

ACCEPT: dict[str, Any] = {"action": "accept", "sequence": 1}
HANDLE: dict[str, Any] = {"action": "handle_here", "sequence": 2}
PROGRESS: dict[str, Any] = {"action": "progress", "sequence": 3, "text": "已到现场"}
REMARK: dict[str, Any] = {"type": "incident.comment", "sequence": 4, "text": "物业配合"}
COMPLETE: dict[str, Any] = {"action": "complete", "sequence": 5, "outcome": "杂物已清"}
WAYS = (ACCEPT, HANDLE, PROGRESS, REMARK, COMPLETE)


async def test_w16_a_platform_accepts_progresses_comments_and_completes(
    district: District,
) -> None:
    calling = await Calling.of(district)
    incident = await at_township(district)
    for way in WAYS:
        assert await calling.became({"incident_id": incident, **way}) == ("applied", None)
    seen = await shown(district, incident)
    assert (seen["state"], seen["outcome"]) == ("handled", "杂物已清")
    assert (await district.act("desk-liuhu", incident, "verify_pass")).status_code == 200
    worker = await look(district, "worker-yonghong", incident)
    assert (worker["state"], worker["outcome"]) == ("closed", "杂物已清")
    told = {item["state"] for item in await _inbox(district, "worker-yonghong")}
    assert told >= {"accepted", "in_progress", "handled", "closed"}


async def _inbox(district: District, username: str) -> list[dict[str, Any]]:
    answer = await (await district.client(username)).get("/v1/inbox?after=0&limit=100")
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_w16_a_department_s_platform_signs_and_refuses_for_it(district: District) -> None:
    admin = await district.client("admin")
    new = {"code": "police", "name": "派出所平台", "unit": "620802105-police"}
    assert (await admin.post("/v1/platforms", json=new)).status_code == 201
    calling = await Calling.of(district, "police")
    incident = await at_township(district)
    await district.act("desk-liuhu", incident, "accept")
    await district.act("desk-liuhu", incident, "dispatch", to_unit="620802105-police")
    number = (await shown(district, incident))["number"]
    assert await calling.became({"number": number, "action": "sign"}) == ("applied", None)
    refusing = {"number": number, "action": "refuse", "reason": "不属我所管辖"}
    assert await calling.became(refusing) == ("applied", None)
    assert (await shown(district, incident))["state"] == "accepted"


async def test_w16_the_history_names_the_platform_and_whom_it_claims(district: District) -> None:
    calling = await Calling.of(district)
    incident = await at_township(district)
    at = "2026-03-11T03:30:00+00:00"
    sent = {"incident_id": incident, "action": "accept", "actor": "系统管理员", "occurred_at": at}
    webhook_id = await calling.send(sent)
    await calling.pump.drain()
    entry = (await rows_of(district, incident)).history[-1]
    assert entry.actor_name == "柳湖镇平台（系统管理员）"
    assert str(entry.actor_id) == await calling.id()
    assert entry.facts == {"callback": webhook_id, "occurred_at": at}


async def test_r7_the_same_id_is_answered_and_never_applied_twice(district: District) -> None:
    calling = await Calling.of(district)
    incident = await at_township(district)
    body = message({"incident_id": incident, "type": "incident.comment", "text": "第一次"})
    states = []
    for _ in range(3):
        answer = await calling.post(body, calling.signed(body, "msg_1"))
        states.append((answer.status_code, answer.json()["state"]))
        await calling.pump.drain()
        district.clock.advance(timedelta(days=3))
    assert states == [(202, "due"), (202, "applied"), (202, "applied")]
    # another content under an id that was used: the first stays
    other = message({"incident_id": incident, "type": "incident.comment", "text": "第二次"})
    answer = await calling.post(other, calling.signed(other, "msg_1"))
    assert answer.json() == {"webhook_id": "msg_1", "state": "applied"}
    await calling.pump.drain()
    assert await _comments(district, incident) == ["第一次"]


async def _comments(district: District, incident: str) -> list[str | None]:
    rows = await rows_of(district, incident)
    return [entry.text for entry in rows.history if entry.action == "comment"]


async def test_w16_for_a_day_after_a_rotation_both_secrets_are_valid(district: District) -> None:
    calling = await Calling.of(district)
    former = calling.secret
    newer = await calling.rotate()
    for hours, secret, status in ((23, former, 202), (0, newer, 202), (2, former, 401)):
        district.clock.advance(timedelta(hours=hours))
        body = message({"number": "1"})
        headers = calling.signed(body, f"msg_{new_id()}", secret=secret)
        assert (await calling.post(body, headers)).status_code == status
    headers = calling.signed(body, f"msg_{new_id()}", secret=newer)
    assert (await calling.post(body, headers)).status_code == 202


async def test_r7_a_stale_one_is_ignored_and_overwrites_nothing(district: District) -> None:
    calling = await Calling.of(district)
    incident = await at_township(district)
    for way in (ACCEPT, HANDLE, PROGRESS):
        assert await calling.became({"incident_id": incident, **way}) == ("applied", None)
    for number in (0, 1, 3):
        stale = {"incident_id": incident, "action": "complete", "outcome": "旧", "sequence": number}
        assert await calling.became(stale) == ("ignored", "stale")
    assert (await shown(district, incident))["state"] == "in_progress"


async def test_f26_the_order_is_the_platform_s_own(district: District) -> None:
    calling = await Calling.of(district)
    incident = await at_township(district)
    early = [await calling.send({"incident_id": incident, **way}) for way in WAYS[:0:-1]]
    await calling.pump.drain()
    for webhook_id in early:
        told = await calling.told(webhook_id)
        assert (told["state"], told["code"]) == ("parked", "earlier-missing")
    assert await calling.became({"incident_id": incident, **ACCEPT}) == ("applied", None)
    assert [(await calling.told(each))["state"] for each in early] == ["applied"] * 4
    rows = await rows_of(district, incident)
    done = [entry.action for entry in rows.history][-5:]
    assert done == ["accept", "handle_here", "progress", "comment", "complete"]


async def test_w16_what_never_comes_is_waited_for_ten_minutes(district: District) -> None:
    calling = await Calling.of(district)
    incident = await at_township(district)
    webhook_id = await calling.send({"incident_id": incident, **REMARK})
    await calling.pump.drain()
    await calling.wait(seconds=HOLD.total_seconds() - 1)
    assert (await calling.told(webhook_id))["state"] == "parked"
    await calling.wait(seconds=1)
    assert (await calling.told(webhook_id))["state"] == "applied"


async def test_w16_whoever_waited_long_enough_still_waits_for_an_earlier_one_that_is_here(
    district: District,
) -> None:
    calling = await Calling.of(district)
    incident = await at_township(district)
    third = await calling.send({"incident_id": incident, **REMARK, "sequence": 3})
    await calling.pump.drain()
    await calling.wait(minutes=8)
    second = await calling.send({"incident_id": incident, **REMARK, "sequence": 2})
    await calling.pump.drain()
    await calling.wait(minutes=3)
    assert (await calling.told(third))["state"] == "parked"
    await calling.wait(minutes=7)
    states = [(await calling.told(each))["state"] for each in (second, third)]
    assert states == ["applied", "applied"]


async def test_w16_an_action_that_needs_the_missing_one_waits_an_hour(district: District) -> None:
    calling = await Calling.of(district)
    incidents = [await at_township(district) for _ in range(2)]
    waiting = [await calling.send({"incident_id": each, **HANDLE}) for each in incidents]
    await calling.pump.drain()
    await calling.wait(seconds=HOLD.total_seconds())
    for webhook_id in waiting:
        told = await calling.told(webhook_id)
        assert (told["state"], told["code"]) == ("parked", "action-not-allowed")
    # it comes after all for one of them
    assert await calling.became({"incident_id": incidents[0], **ACCEPT}) == ("applied", None)
    await calling.wait(seconds=(GIVE_UP - HOLD).total_seconds())
    told_both = [await calling.told(webhook_id) for webhook_id in waiting]
    assert [each["state"] for each in told_both] == ["applied", "refused"]
    assert told_both[1]["code"] == "action-not-allowed"


async def test_w16_a_refused_one_is_no_gap(district: District) -> None:
    calling = await Calling.of(district)
    incident = await at_township(district)
    wrong = {"incident_id": incident, "action": "complete", "outcome": "早", "sequence": 1}
    assert await calling.became(wrong) == ("refused", "action-not-allowed")
    second = {"incident_id": incident, "action": "accept", "sequence": 2}
    assert await calling.became(second) == ("applied", None)


async def test_f26_an_unknown_incident_is_parked_listed_and_applied_when_it_comes(
    district: District,
) -> None:
    calling = await Calling.of(district)
    incident = str(new_id())
    sent = [await calling.send({"incident_id": incident, **way}) for way in (HANDLE, ACCEPT)]
    await calling.pump.drain()
    desk = await district.client("desk-liuhu")
    listed = (await desk.get(f"/v1/callbacks/{PLATFORM}?state=parked")).json()["items"]
    assert {item["webhook_id"] for item in listed} == set(sent)
    assert {item["code"] for item in listed} == {"incident-unknown"}
    await district.report(id=incident)
    await walk(district, incident, UP)
    await calling.wait(seconds=LADDER[0].total_seconds())
    assert [(await calling.told(each))["state"] for each in sent] == ["applied", "applied"]
    assert not (await desk.get(f"/v1/callbacks/{PLATFORM}?state=parked")).json()["items"]


async def test_f26_what_came_at_different_times_is_woken_together(district: District) -> None:
    calling = await Calling.of(district)
    incident = str(new_id())
    later = await calling.send({"incident_id": incident, **HANDLE})
    await calling.pump.drain()
    await calling.wait(hours=2)
    first = await calling.send({"incident_id": incident, **ACCEPT})
    await calling.pump.drain()
    await district.report(id=incident)
    await walk(district, incident, UP)
    await calling.wait(seconds=10)  # the first finds it, and wakes the one on a higher rung
    assert [(await calling.told(each))["state"] for each in (first, later)] == ["applied"] * 2


async def test_h5_the_list_has_pages(district: District) -> None:
    calling = await Calling.of(district)
    sent = []
    for _ in range(5):
        sent.append(await calling.send({"number": "1"}))
        district.clock.advance(timedelta(seconds=1))
    async with signed_in_platform(calling) as client:
        found: list[str] = []
        path = f"/v1/callbacks/{PLATFORM}?limit=2"
        cursor = ""
        while True:
            page = (await client.get(path + cursor)).json()
            found += [item["webhook_id"] for item in page["items"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
    assert found == sent[::-1]


async def test_w16_two_pumps_apply_each_once_and_in_order(district: District) -> None:
    calling = await Calling.of(district)
    incident = await at_township(district)
    texts = [f"第{number}条" for number in range(1, 21)]
    for number, words in enumerate(texts, start=1):
        comment = {"type": "incident.comment", "text": words, "sequence": number}
        await calling.send({"incident_id": incident, **comment})
    other = CallbackPump(district.resources)
    while sum(await asyncio.gather(calling.pump.drain(), other.drain())):
        pass
    assert await _comments(district, incident) == texts


async def test_w16_a_platform_at_work_holds_up_nobody_else(district: District) -> None:
    admin = await district.client("admin")
    new = {"code": "second", "name": "第二平台", "unit": "620802105"}
    assert (await admin.post("/v1/platforms", json=new)).status_code == 201
    first, second = await Calling.of(district), await Calling.of(district, "second")
    incident = await at_township(district)
    comment = {"incident_id": incident, "type": "incident.comment", "text": "收到"}
    waiting = await first.send(comment)
    async with district.resources.sessions.begin() as elsewhere:
        await elsewhere.get_one(CallbackSecret, UUID(await first.id()), with_for_update=True)
        async with asyncio.timeout(20):
            assert await second.became(comment) == ("applied", None)
        assert (await first.told(waiting))["state"] == "due"
    await first.pump.drain()
    assert (await first.told(waiting))["state"] == "applied"


async def test_w16_the_running_pump_is_woken_and_stops(district: District) -> None:
    calling = await Calling.of(district)
    incident = await at_township(district)
    stop = asyncio.Event()
    running = asyncio.create_task(calling.pump.run(stop))
    try:
        webhook_id = await calling.send({"incident_id": incident, **ACCEPT})
        async with asyncio.timeout(20):
            while (await calling.told(webhook_id))["state"] == "due":  # noqa: ASYNC110 - a poll
                await asyncio.sleep(0)
        assert (await calling.told(webhook_id))["state"] == "applied"
    finally:
        stop.set()
        async with asyncio.timeout(5):
            await running


async def test_w16_settled_ones_are_forgotten_after_ninety_days_but_the_last_applied(
    district: District,
) -> None:
    calling = await Calling.of(district)
    incident = await at_township(district)
    for way in (ACCEPT, HANDLE):
        assert await calling.became({"incident_id": incident, **way}) == ("applied", None)
    assert (await calling.became({"number": "1"}))[0] == "refused"
    district.clock.advance(KEPT)
    await upkeep(district.resources)
    assert await _count(district) == 3
    district.clock.advance(timedelta(minutes=1))
    await upkeep(district.resources)
    assert await _count(district) == 1
    assert await calling.became({"incident_id": incident, **HANDLE}) == ("ignored", "stale")


async def _count(district: District) -> int:
    async with district.resources.sessions.read() as session:
        return await session.scalar(select(func.count()).select_from(Callback)) or 0


async def test_w16_a_platform_follows_its_unit_s_matters_by_its_own_token(
    district: District,
) -> None:
    calling = await Calling.of(district)
    incident = await at_township(district)
    elsewhere: str = (await district.report())["id"]
    async with signed_in_platform(calling) as client:
        answer = await client.get(f"/v1/incidents/{incident}")
        assert answer.status_code == 200, answer.text
        assert "accept" in answer.json()["allowed_actions"]
        assert (await client.get(f"/v1/incidents/{elsewhere}")).status_code == 404
    async with district.resources.sessions.read() as session:
        noted = await session.scalar(
            select(func.count())
            .select_from(HistoryEntry)
            .where(HistoryEntry.actor_id == UUID(await calling.id()))
        )
    assert noted == 0
