"""Who hears of what: the reporter of everything once and in order, staff of what waits for them."""

from collections import Counter
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text

from app.accounts.permissions import Role
from app.core.events import OutboxRow, Recorded, parse
from app.core.relay import Tick
from app.incidents.models import Step
from app.notifications.models import Inbox, Notice
from app.reactions import REACTIONS
from app.routing.models import Decision
from tests.district import POLICE_LIUHU, YONGHONG, District, new_incident
from tests.incidents.paths import (
    ACCEPT,
    COMPLETE,
    DESK,
    DISPATCH,
    PASS,
    POLICE,
    SIGN,
    TOP,
    TOWNSHIP,
    UP,
    WORKER,
    hire,
    incident_in,
    person_id,
    rows_of,
    signed_in,
    walk,
)

STORY = (
    UP,
    ACCEPT,
    (WORKER, "comment", {"text": "补充一句"}),
    (TOWNSHIP, "comment", {"text": "收到"}),
    DISPATCH,
    (POLICE, "refuse", {"reason": "不在辖区"}),
    DISPATCH,
    SIGN,
    (POLICE, "progress", {"text": "已到现场"}),
    COMPLETE,
    (TOWNSHIP, "verify_fail", {"reason": "照片不清"}),
    COMPLETE,
    PASS,
    (WORKER, "rate", {"score": 4}),
)


async def _notices(district: District, incident: str, who: str) -> list[Notice]:
    person = await person_id(district, who)
    async with district.resources.sessions.read() as session:
        rows = await session.scalars(
            select(Notice)
            .where(Notice.incident_id == UUID(incident), Notice.person_id == person)
            .order_by(Notice.seq)
        )
        return list(rows)


async def _counts(district: District) -> list[Any]:
    async with district.resources.sessions.read() as session:
        counts: list[Any] = [
            await session.scalar(select(func.count()).select_from(table))
            for table in (Notice, Decision, Step, OutboxRow)
        ]
        heads = await session.execute(
            select(Inbox.person_id, Inbox.head_seq).order_by(Inbox.person_id)
        )
        return [*counts, [tuple(row) for row in heads]]


async def test_every_reaction_run_twice_changes_nothing_the_second_time(
    district: District,
) -> None:
    incident = (await district.report())["id"]
    await walk(district, incident, *STORY)
    before = await _counts(district)
    tick = Tick(district.clock.now(), district.resources)
    async with district.resources.sessions.begin() as session:
        for row in (await rows_of(district, incident)).events:
            event = Recorded(row.id, row.occurred_at, parse(row.name, row.payload))
            for reaction in REACTIONS[type(event.event)]:
                await reaction(session, [event], tick)
    assert await _counts(district) == before
    assert not tick.subjects


async def test_r5_the_reporter_hears_of_every_event_once_and_in_order(
    shared_district: District,
) -> None:
    incident = (await shared_district.report())["id"]
    await walk(shared_district, incident, *STORY)
    rows = await rows_of(shared_district, incident)
    told = await _notices(shared_district, incident, WORKER)
    silent = {
        event.id
        for event in rows.events
        # what the reporter did without needing to hear of it, and moves told by their StepOpened
        if event.name == "incident.rated"
        or event.payload.get("step_opened")
        or (
            event.name == "incident.commented"
            and event.payload["actor_id"] == str(rows.incident.reporter_id)
        )
    }
    assert [notice.event_id for notice in told] == [
        event.id for event in rows.events if event.id not in silent
    ]
    assert [notice.title for notice in told] == [
        "上报已收到",
        "已转永红村综治中心受理",
        "已上报至柳湖镇综治中心",
        "柳湖镇综治中心已受理",
        "有新留言",
        "已派遣至柳湖派出所处置",
        "被拒签，回到柳湖镇综治中心重新安排",
        "已派遣至柳湖派出所处置",
        "柳湖派出所已签收，开始处置",
        "柳湖派出所有新进展",
        "柳湖派出所已处置完毕，等待核查",
        "核查未通过，柳湖派出所继续处置",
        "柳湖派出所已处置完毕，等待核查",
        "核查通过，已办结",
    ]
    assert told[-2].body.endswith("杂物已清，通道畅通")


async def test_the_outcome_itself_reaches_the_reporter(shared_district: District) -> None:
    """Also where the matter ends without a handler."""
    rejected = await incident_in(shared_district, "rejected")
    assert "不属受理范围" in (await _notices(shared_district, rejected, WORKER))[-1].body
    returned = await incident_in(shared_district, "returned")
    assert "位置不清" in (await _notices(shared_district, returned, WORKER))[-1].body


async def test_staff_hear_of_what_waits_for_them_and_not_of_what_they_did(
    shared_district: District,
) -> None:
    incident = (await shared_district.report())["id"]
    await walk(shared_district, incident, *STORY)
    titles = {
        who: [notice.title for notice in await _notices(shared_district, incident, who)]
        for who in (DESK, TOWNSHIP, POLICE, TOP)
    }
    assert titles[DESK] == ["新事件待受理"]
    assert titles[TOWNSHIP] == [
        "下级上报事件待受理",
        "有新留言",
        "事件被拒签，请重新派遣",
        "处置完毕，待核查",
        "处置完毕，待核查",
    ]
    assert titles[POLICE] == [
        "新派遣事件待签收",
        "新派遣事件待签收",
        "核查未通过，请继续处置",
        "核查通过，已办结",
        "上报人已评价",
    ]
    assert titles[TOP] == []


async def test_everybody_of_a_unit_is_told_and_who_left_is_not(district: District) -> None:
    await hire(district, "police-2", (Role.HANDLER, POLICE_LIUHU))
    await hire(district, "police-gone", (Role.HANDLER, POLICE_LIUHU))
    async with district.resources.sessions.begin() as session:
        await session.execute(
            text("UPDATE people SET state = 'disabled' WHERE username = 'police-gone'")
        )
    incident = await incident_in(district, "dispatched")
    for who, count in ((POLICE, 1), ("police-2", 1), ("police-gone", 0), (DESK, 1)):
        assert len(await _notices(district, incident, who)) == count, who


async def test_a_dispatcher_who_reports_hears_as_the_reporter(district: District) -> None:
    """One notice an event, and the reporter's words win: they carry the outcome."""
    await hire(district, "desk-2", (Role.DISPATCHER, YONGHONG))
    incident = (await district.report(DESK))["id"]
    await walk(
        district,
        incident,
        ("desk-2", "accept", {}),
        ("desk-2", "handle_here", {}),
        ("desk-2", "complete", {"outcome": "已劝离"}),
    )
    told = await _notices(district, incident, DESK)
    assert max(Counter(notice.event_id for notice in told).values()) == 1
    assert [notice.title for notice in told][:2] == ["上报已收到", "已转永红村综治中心受理"]
    assert told[-1].body.endswith("已劝离")


async def test_many_matters_in_one_batch_are_told_apart(district: District) -> None:
    """The relay takes them set-based; every inbox is whole all the same."""
    client = await signed_in(district, WORKER)
    made = [new_incident() for _ in range(15)]
    for meta in made:
        assert (await client.post("/v1/incidents", json=meta)).status_code == 201
    await district.drain()
    items = (await client.get("/v1/inbox", params={"limit": 200})).json()["items"]
    assert [item["seq"] for item in items] == list(range(1, 31))
    for meta in made:
        titles = [item["title"] for item in items if item["incident_id"] == meta["id"]]
        assert titles == ["上报已收到", "已转永红村综治中心受理"]
    assert district.wakeups.published.count(f"inbox:{await person_id(district, WORKER)}") == 2
