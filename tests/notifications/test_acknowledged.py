"""P15: every notice is queued, nudged, delivered, acked; staff see who has not seen."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.core.events import OutboxRow
from app.notifications import reminding
from app.notifications.delivered import Delivered
from app.notifications.models import Notice, Reminder
from app.notifications.reminding import LADDER, Reminding
from tests.district import YONGHONG, District
from tests.incidents.paths import (
    ACCEPT,
    COMPLETE,
    DESK,
    DISPATCH,
    OUTSIDER,
    PASS,
    POLICE,
    SEALED,
    SIGN,
    TOP,
    TOWNSHIP,
    WORKER,
    found_unit,
    incident_in,
    person_id,
    rows_of,
    signed_in,
    walk,
)
from tests.notifications.hearing import caller_of, heard

CENTRE_STEPS = (ACCEPT, DISPATCH, SIGN)
RAISER = {"name": "李四", "phone": "13800000001", "informed_at": None}


async def told_of(district: District, who: str, incident: str) -> list[dict[str, Any]]:
    """What staff are shown, after what left the server was written down."""
    await district.resources.the(Delivered).write()
    answer = await (await signed_in(district, who)).get(f"/v1/incidents/{incident}/notices")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def states_of(district: District, incident: str, whose: str) -> list[str]:
    person = str(await person_id(district, whose))
    items = await told_of(district, TOWNSHIP, incident)
    return [item["state"] for item in items if item["person"]["id"] == person]


async def urgent_outcome(district: District, **changes: Any) -> str:
    """Handled by the police, who were sent by the township's centre."""
    incident: str = (await district.report(**{"urgency": "urgent", **changes}))["id"]
    await walk(district, incident, *CENTRE_STEPS, COMPLETE)
    return incident


async def reminders(district: District) -> list[int]:
    """Rungs of those that wait."""
    async with district.resources.sessions.read() as session:
        return list(await session.scalars(select(Reminder.rung)))


# --- who may look


async def test_p15_who_has_seen_is_for_staff_in_reach(shared_district: District) -> None:
    incident = await incident_in(shared_district, "in_progress")
    path = f"/v1/incidents/{incident}/notices"
    async with shared_district.anonymous() as nobody:
        assert (await nobody.get(path)).status_code == 401
    for who, status in ((WORKER, 403), ("admin", 403), (POLICE, 200), (DESK, 200), (TOP, 200)):
        answer = await (await signed_in(shared_district, who)).get(path)
        assert answer.status_code == status, who
    unknown = "/v1/incidents/01939e6a-0002-7000-8000-000000000009/notices"
    missing = await (await signed_in(shared_district, TOWNSHIP)).get(unknown)
    assert (missing.status_code, missing.json()["code"]) == (404, "incident-not-found")


async def test_p15_outside_the_reach_nothing_is_told(shared_district: District) -> None:
    place = {"grid_code": "620802003007001"}
    theirs = (await shared_district.report(OUTSIDER, place=place))["id"]
    answer = await (await signed_in(shared_district, TOWNSHIP)).get(
        f"/v1/incidents/{theirs}/notices"
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "incident-not-found")


async def test_p15_a_sealed_matters_reporter_stays_hidden(shared_district: District) -> None:
    incident: str = (await shared_district.report(**SEALED))["id"]
    up = ((DESK, "escalate", {"reason": "需要派出所"}), *CENTRE_STEPS)
    await walk(shared_district, incident, *up)
    reporter = str(await person_id(shared_district, WORKER))
    answer = await (await signed_in(shared_district, TOP)).get(f"/v1/incidents/{incident}/notices")
    assert answer.status_code == 404
    client = await signed_in(shared_district, WORKER)
    head = (await client.get("/v1/inbox")).json()["head_seq"]
    await client.post("/v1/inbox/ack", json={"up_to": head})
    seen = await told_of(shared_district, POLICE, incident)
    hidden = [item for item in seen if item["person"]["id"] is None]
    assert len(hidden) == 6
    assert {item["state"] for item in hidden} == {"acked"}
    for item in hidden:
        assert item["person"] == {"id": None, "name": "", "unit": None}
        assert [item[k] for k in ("seq", "nudged_at", "delivered_at", "acked_at")] == [None] * 4
    assert reporter not in str(seen)
    known = await told_of(shared_district, DESK, incident)
    assert [i["person"]["name"] for i in known if i["person"]["id"] == reporter] != []


async def test_p15_pages_hold_every_notice_once(shared_district: District) -> None:
    incident = await incident_in(shared_district, "closed")
    whole = await told_of(shared_district, TOWNSHIP, incident)
    client = await signed_in(shared_district, TOWNSHIP)
    paged: list[dict[str, Any]] = []
    url: str | None = f"/v1/incidents/{incident}/notices?limit=3"
    while url is not None:
        answer = await client.get(url)
        paged += answer.json()["items"]
        assert ("next" in answer.links) is (answer.json()["next"] is not None)
        url = answer.links["next"]["url"] if answer.json()["next"] else None
    assert paged == whole
    assert len(paged) > 9
    altered = await client.get(f"/v1/incidents/{incident}/notices?cursor=no.cursor")
    assert (altered.status_code, altered.json()["code"]) == (400, "cursor-invalid")


# --- what becomes of a notice


async def test_p15_queued_delivered_acked_each_with_its_time(district: District) -> None:
    incident: str = (await district.report())["id"]
    (first, second) = await _of_reporter(district, incident)
    assert (first["state"], second["state"]) == ("queued", "queued")
    assert first["person"]["unit"]["code"] == YONGHONG
    assert [first[k] for k in ("nudged_at", "delivered_at", "acked_at")] == [None] * 3
    district.clock.advance(timedelta(seconds=7))
    caller = await caller_of(district, WORKER)
    async with heard(district, caller, 0) as hearing:
        await hearing.event("hello")
        assert await hearing.numbers(2) == [1, 2]
    streamed = f"{district.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    (first, second) = await _of_reporter(district, incident)
    assert (first["state"], first["delivered_at"]) == ("delivered", streamed)
    district.clock.advance(timedelta(seconds=7))
    client = await district.client(WORKER)
    assert (await client.get("/v1/inbox")).status_code == 200
    await client.post("/v1/inbox/ack", json={"up_to": 1})
    (first, second) = await _of_reporter(district, incident)
    assert (first["state"], second["state"]) == ("acked", "delivered")
    assert (first["delivered_at"], second["delivered_at"]) == (streamed, streamed)
    assert first["acked_at"] == f"{district.clock.now():%Y-%m-%dT%H:%M:%SZ}"


async def _of_reporter(district: District, incident: str) -> list[dict[str, Any]]:
    reporter = str(await person_id(district, WORKER))
    items = await told_of(district, TOWNSHIP, incident)
    return [item for item in items if item["person"]["id"] == reporter]


async def test_p15_a_pull_delivers_what_it_brought_and_no_more(shared_district: District) -> None:
    incident = await incident_in(shared_district, "accepted")
    client = await signed_in(shared_district, WORKER)
    head = (await client.get("/v1/inbox", params={"after": 10**6})).json()["head_seq"]
    assert await states_of(shared_district, incident, WORKER) == ["queued"] * 4
    await client.get("/v1/inbox", params={"after": head - 4, "limit": 3})
    states = await states_of(shared_district, incident, WORKER)
    assert states == ["delivered"] * 3 + ["queued"]
    # an ack without a pull (another terminal brought it) says that it was delivered, too
    await client.post("/v1/inbox/ack", json={"up_to": head})
    assert await states_of(shared_district, incident, WORKER) == ["acked"] * 4


async def test_p15_nudged_is_shown_with_its_time(shared_district: District) -> None:
    incident = await incident_in(shared_district, "accepted")
    reporter = await person_id(shared_district, WORKER)
    now = shared_district.clock.now()
    async with shared_district.resources.sessions.begin() as session:
        await session.execute(
            update(Notice).where(Notice.person_id == reporter).values(nudged_at=now)
        )
    assert await states_of(shared_district, incident, WORKER) == ["nudged"] * 4


async def test_p15_delivered_is_written_without_being_asked_for(shared_district: District) -> None:
    incident = await incident_in(shared_district, "submitted")
    client = await signed_in(shared_district, WORKER)
    head = (await client.get("/v1/inbox", params={"after": 10**6})).json()["head_seq"]
    await client.get("/v1/inbox", params={"after": head - 2})
    async with asyncio.timeout(10):
        while await _undelivered(shared_district, incident):  # noqa: ASYNC110 - a background write
            await asyncio.sleep(0.05)


async def _undelivered(district: District, incident: str) -> int:
    reporter = await person_id(district, WORKER)
    async with district.resources.sessions.read() as session:
        rows = await session.scalars(
            select(Notice.seq).where(
                Notice.incident_id == incident,
                Notice.person_id == reporter,
                Notice.delivered_at.is_(None),
            )
        )
        return len(rows.all())


async def test_p15_what_could_not_be_written_is_written_later(
    shared_district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = await incident_in(shared_district, "submitted")
    delivered = shared_district.resources.the(Delivered)
    client = await signed_in(shared_district, WORKER)
    monkeypatch.setattr(shared_district.resources.sessions, "begin", _unavailable)
    await client.get("/v1/inbox", params={"after": 0, "limit": 200})
    await delivered.close()
    monkeypatch.undo()
    assert await _undelivered(shared_district, incident) == 2
    await delivered.write()
    assert await _undelivered(shared_district, incident) == 0


def _unavailable() -> Any:
    raise ConnectionRefusedError


# --- outcomes that must be seen


@pytest.mark.parametrize("urgency", ["routine", "complex"])
async def test_p15_outcomes_that_can_wait_remind_nobody(
    shared_district: District, urgency: str
) -> None:
    before = await reminders(shared_district)
    await incident_in(shared_district, "closed", urgency=urgency)
    assert await reminders(shared_district) == before


async def test_p15_what_is_no_outcome_reminds_nobody(district: District) -> None:
    incident: str = (await district.report(urgency="critical"))["id"]
    await walk(district, incident, *CENTRE_STEPS)
    assert await reminders(district) == []
    # withdrawn by the reporter: nobody else knew before
    other: str = (await district.report(urgency="critical"))["id"]
    await walk(district, other, (WORKER, "withdraw", {}))
    assert await reminders(district) == []


async def test_p15_an_ack_ends_the_reminding(district: District) -> None:
    await urgent_outcome(district)
    assert await reminders(district) == [0]
    district.clock.advance(LADDER[0])
    assert await Reminding(district.resources).work() == 1
    assert await reminders(district) == [1]
    client = await district.client(WORKER)
    head = (await client.get("/v1/inbox")).json()["head_seq"]
    await client.post("/v1/inbox/ack", json={"up_to": head - 1})
    assert await reminders(district) == [1]
    await client.post("/v1/inbox/ack", json={"up_to": head})
    assert await reminders(district) == []
    district.clock.advance(timedelta(days=1))
    assert await Reminding(district.resources).work() == 0


async def test_p15_reminded_at_one_five_thirty_minutes_and_two_hours_then_others_are_told(
    district: District,
) -> None:
    incident = await urgent_outcome(district)
    began, told = district.clock.now(), []
    district.wakeups.published.clear()
    for minute in (0.9, 1, 4.9, 5, 29, 30, 119, 120, 1000):
        district.clock.set(began + timedelta(minutes=minute))
        if await Reminding(district.resources).work():
            told.append(minute)
        await district.drain()
        assert bool(await _unseen(district)) is (minute >= 120)
    assert told == [1, 5, 30, 120]
    reporter = await person_id(district, WORKER)
    assert district.wakeups.published.count(f"inbox:{reporter}") == len(LADDER)
    near = {await person_id(district, who) for who in (DESK, TOWNSHIP)}
    notices = await _unseen(district)
    assert {notice.person_id for notice in notices} == near
    assert {notice.title for notice in notices} == {"处理结果尚未查看"}
    assert {str(notice.incident_id) for notice in notices} == {incident}
    assert await reminders(district) == []


async def _unseen(district: District) -> list[Notice]:
    async with district.resources.sessions.read() as session:
        rows = await session.scalars(
            select(Notice).where(Notice.type == "incident.outcome_unseen").order_by(Notice.seq)
        )
        return list(rows)


async def test_p15_the_villages_leader_is_told_too(district: District) -> None:
    leader = await person_id(district, "supervisor-kongtong")
    async with district.resources.sessions.begin() as session:
        (await found_unit(session, YONGHONG)).head_id = leader
    await urgent_outcome(district)
    await _to_the_end(district)
    assert leader in {notice.person_id for notice in await _unseen(district)}


async def test_p15_of_a_sealed_matter_only_its_own_desk_is_told(district: District) -> None:
    incident: str = (await district.report(urgency="urgent", **SEALED))["id"]
    owner = (await rows_of(district, incident)).incident.owner_unit_id
    desk = DESK if owner == await _unit_id(district, YONGHONG) else TOWNSHIP
    await walk(district, incident, (desk, "reject", {"reason": "不属受理范围"}))
    await _to_the_end(district)
    told = {notice.person_id for notice in await _unseen(district)}
    assert told == {await person_id(district, desk)}


async def _unit_id(district: District, code: str) -> Any:
    async with district.resources.sessions.read() as session:
        return (await found_unit(session, code)).id


async def _to_the_end(district: District) -> None:
    for _ in LADDER:
        district.clock.advance(LADDER[-1])
        await Reminding(district.resources).work()
    await district.drain()


async def test_p15_two_pumps_at_once_tell_others_once(district: District) -> None:
    await urgent_outcome(district)
    for _ in LADDER[1:]:
        district.clock.advance(LADDER[-1])
        assert await Reminding(district.resources).work() == 1
    district.clock.advance(LADDER[-1])
    worked = await asyncio.gather(*(Reminding(district.resources).work() for _ in range(5)))
    assert sorted(worked) == [0, 0, 0, 0, 1]
    async with district.resources.sessions.read() as session:
        rows = await session.scalars(
            select(OutboxRow).where(OutboxRow.name == "incident.outcome_unseen")
        )
        assert len(rows.all()) == 1


async def test_p15_a_pump_that_was_away_does_not_hurry_through_the_ladder(
    district: District,
) -> None:
    await urgent_outcome(district)
    district.clock.advance(timedelta(days=1))
    assert [await Reminding(district.resources).work() for _ in range(3)] == [1, 0, 0]
    assert await reminders(district) == [1]


async def test_p15_the_pump_runs_until_told_to_stop(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reminding, "POLL_S", 0.02)
    await urgent_outcome(district)
    stop = asyncio.Event()
    running = asyncio.create_task(Reminding(district.resources).run(stop))
    district.clock.advance(LADDER[0])
    async with asyncio.timeout(10):
        while await reminders(district) != [1]:  # noqa: ASYNC110 - the pump's rows
            await asyncio.sleep(0.02)
        stop.set()
        await running


# --- 已回告


async def test_the_reporter_ticks_that_the_raiser_was_told(district: District) -> None:
    made = {"raiser": RAISER}
    incident = await incident_in(district, "handled", **made)
    early, plain = (
        await incident_in(district, "accepted", **made),
        await incident_in(district, "closed"),
    )
    client = await district.client(WORKER)
    command = {"up_to": 0, "raisers_informed": [incident, early, plain]}
    other = await (await district.client(OUTSIDER)).post("/v1/inbox/ack", json=command)
    assert other.json() == {"acked_seq": 0, "raisers_informed": []}
    for _ in range(2):  # a repeat says the same and writes nothing more
        answer = await client.post("/v1/inbox/ack", json=command)
        assert answer.json() == {"acked_seq": 0, "raisers_informed": [incident]}
    shown = (await client.get(f"/v1/incidents/{incident}")).json()
    assert shown["raiser"]["informed_at"] == f"{district.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    assert shown["raiser"]["name"] == "李*"
    history = (await rows_of(district, incident)).history
    ticks = [entry for entry in history if entry.action == "raiser_informed"]
    assert [entry.actor_id for entry in ticks] == [await person_id(district, WORKER)]
    await walk(district, incident, PASS)
    assert (await client.get(f"/v1/incidents/{early}")).json()["raiser"]["informed_at"] is None
