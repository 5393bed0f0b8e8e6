"""Every move of the table carried out, with what it leaves behind."""

import asyncio
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from app.accounts.models import Unit
from app.accounts.permissions import Role
from app.core.db import new_id
from app.incidents.chain import first_break
from app.incidents.status import STAGES, TRANSITIONS, Happening, State
from tests.district import KONGTONG, LIUHU, POLICE_LIUHU, YONGHONG, District
from tests.incidents.paths import (
    COMPLETE,
    DESK,
    POLICE,
    TOP,
    TOWNSHIP,
    WORKER,
    Move,
    hire,
    incident_in,
    look,
    photo,
    rows_of,
    send,
    signed_in,
    walk,
)

Stop = tuple[Move, str, str]
"""A move, the state and the unit in which it leaves the matter."""

REASON, OUTCOME = {"reason": "理由"}, {"outcome": "已处理完毕"}
REMARK: Move = (WORKER, "comment", {"text": "补充"})

LONG_WAY: tuple[Stop, ...] = (
    (REMARK, "submitted", YONGHONG),
    ((DESK, "escalate", REASON), "submitted", LIUHU),
    ((TOWNSHIP, "accept", {}), "accepted", LIUHU),
    (REMARK, "accepted", LIUHU),
    ((TOWNSHIP, "escalate", REASON), "submitted", KONGTONG),
    ((TOP, "accept", {}), "accepted", KONGTONG),
    ((TOP, "hand_down", {"to_unit": LIUHU}), "submitted", LIUHU),
    ((TOWNSHIP, "accept", {}), "accepted", LIUHU),
    ((TOWNSHIP, "dispatch", {"to_unit": POLICE_LIUHU}), "dispatched", POLICE_LIUHU),
    (REMARK, "dispatched", POLICE_LIUHU),
    ((POLICE, "refuse", REASON), "accepted", LIUHU),
    ((TOWNSHIP, "dispatch", {"to_unit": POLICE_LIUHU}), "dispatched", POLICE_LIUHU),
    ((POLICE, "sign", {}), "in_progress", POLICE_LIUHU),
    (REMARK, "in_progress", POLICE_LIUHU),
    ((POLICE, "refuse", REASON), "accepted", LIUHU),
    ((TOWNSHIP, "handle_here", {}), "in_progress", LIUHU),
    ((TOWNSHIP, "progress", {"text": "正在协调"}), "in_progress", LIUHU),
    ((TOWNSHIP, "complete", {"outcome": "先行处理"}), "handled", LIUHU),
    (REMARK, "handled", LIUHU),
    ((TOP, "verify_fail", REASON), "in_progress", LIUHU),
    ((TOWNSHIP, "complete", OUTCOME), "handled", LIUHU),
    ((TOP, "verify_pass", {}), "closed", LIUHU),
    ((WORKER, "rate", {"score": 4, "text": "满意"}), "closed", LIUHU),
)
STORIES: tuple[tuple[Stop, ...], ...] = (
    LONG_WAY,
    (((WORKER, "withdraw", {}), "voided", YONGHONG),),
    (((DESK, "reject", REASON), "rejected", YONGHONG),),
    (
        ((DESK, "return", REASON), "returned", YONGHONG),
        (REMARK, "returned", YONGHONG),
        ((WORKER, "resubmit", {"text": "已补充位置"}), "submitted", YONGHONG),
        ((DESK, "return", REASON), "returned", YONGHONG),
        ((WORKER, "withdraw", {}), "voided", YONGHONG),
    ),
    (((DESK, "self_handle", OUTCOME), "closed", YONGHONG),),
)
FREE = {"comment"}


async def _take(district: District, incident: str, stop: Stop) -> None:
    """One move and all it leaves behind: step, clock, history, event, revision."""
    (who, action, fields), state, unit = stop
    before = await rows_of(district, incident)
    if action == "self_handle":
        client = await signed_in(district, WORKER)
        url = f"/v1/incidents/{incident}/attachments/{new_id()}"
        assert (await client.put(url, content=photo())).status_code == 201
        await district.drain()
        before = await rows_of(district, incident)
    assert action in (await look(district, who, incident))["allowed_actions"]
    shown = await walk(district, incident, (who, action, fields))
    after = await rows_of(district, incident)
    assert shown["state"] == after.incident.state == state
    assert shown["revision"] == before.incident.revision + (action not in FREE)
    assert len(after.history) == len(before.history) + 1
    entry = after.history[-1]
    assert (entry.action, entry.from_state, entry.to_state) == (
        action,
        before.incident.state,
        state,
    )
    assert entry.reason == fields.get("reason")
    assert entry.text == (fields.get("outcome") or fields.get("text"))
    assert [event.processed_at is not None for event in after.events] == [True] * len(after.events)
    assert len(after.events) > len(before.events)
    await _stands_with(district, after, unit, final=state in {"voided", "rejected"})


async def _stands_with(district: District, rows: Any, unit: str, *, final: bool) -> None:
    async with district.resources.sessions.read() as session:
        codes = {row.id: row.code for row in await session.scalars(select(Unit))}
    assert codes[rows.incident.owner_unit_id] == unit
    assert len(rows.current) == (0 if final else 1)
    if final:
        assert rows.incident.current_step_id is None
        return
    (step,) = rows.current
    assert (step.id, codes[step.unit_id]) == (rows.incident.current_step_id, unit)
    assert step.state == rows.incident.state
    stage = STAGES.get(State(step.state))
    assert step.stage == stage
    assert (step.due_at is not None) is (step.clock_started_at is not None) is (stage is not None)


async def test_the_long_way_and_the_short_ones(
    shared_district: District,
) -> None:
    seen: set[tuple[str, str | None]] = set()
    for story in STORIES:
        incident = await incident_in(shared_district, "submitted")
        for stop in story:
            await _take(shared_district, incident, stop)
        rows = await rows_of(shared_district, incident)
        assert first_break(rows.history) is None
        assert rows.history[-1].hash == rows.incident.history_head
        seen |= {(entry.action, entry.from_state) for entry in rows.history}
    table = {(str(row.action), str(s)) for row in TRANSITIONS for s in row.sources}
    assert seen - table == {(str(Happening.REPORT), None), (str(Happening.ROUTE), "submitted")}


async def test_what_an_incident_remembers_of_its_way(shared_district: District) -> None:
    incident = await incident_in(shared_district, "submitted")
    for move, _, _ in LONG_WAY:
        await walk(shared_district, incident, move)
    shown = await look(shared_district, WORKER, incident)
    assert (shown["outcome"], shown["rework_count"], shown["score"]) == ("已处理完毕", 1, 4)
    assert shown["allowed_actions"] == ["rate", "reopen"]
    worker = await signed_in(shared_district, WORKER)
    history = (await worker.get(f"/v1/incidents/{incident}/history")).json()["items"]
    units = [entry["actor"]["unit"] and entry["actor"]["unit"]["code"] for entry in history]
    acted = [
        unit for unit, entry in zip(units, history, strict=True) if entry["action"] == "accept"
    ]
    assert acted == [LIUHU, KONGTONG, LIUHU]
    assert history[1]["actor"] == {"id": None, "name": "系统", "unit": None}
    assert units[0] is None
    dispatched = next(entry for entry in history if entry["action"] == "dispatch")
    async with shared_district.resources.sessions.read() as session:
        police = await session.scalar(select(Unit.id).where(Unit.code == POLICE_LIUHU))
    assert dispatched["facts"] == {"to_unit": str(police)}


async def test_a_rejection_tells_its_reason_as_the_outcome(shared_district: District) -> None:
    """No matter ends without words."""
    incident = await incident_in(shared_district, "rejected")
    assert (await look(shared_district, WORKER, incident))["outcome"] == "不属受理范围"


async def test_a_unit_may_be_named_by_its_id(shared_district: District) -> None:
    incident = await incident_in(shared_district, "accepted")
    async with shared_district.resources.sessions.read() as session:
        police = await session.scalar(select(Unit.id).where(Unit.code == POLICE_LIUHU))
    shown = await walk(shared_district, incident, (TOWNSHIP, "dispatch", {"to_unit": str(police)}))
    assert shown["step"]["unit"] == {
        "id": str(police),
        "code": POLICE_LIUHU,
        "name": "柳湖派出所",
        "level": "township",
    }


async def test_a_refusal_goes_back_to_the_centre_that_dispatched(
    shared_district: District,
) -> None:
    incident = await incident_in(shared_district, "dispatched")
    await walk(shared_district, incident, (POLICE, "refuse", {"reason": "不在辖区"}))
    rows = await rows_of(shared_district, incident)
    (current,) = rows.current
    sent = next(step for step in rows.steps if step.state == "dispatched")
    assert current.unit_id == current.opened_by == sent.opened_by
    assert sent.ended_at is not None
    # the police keep sight of what they had a step with, and have nothing more to do there
    assert (await look(shared_district, POLICE, incident))["allowed_actions"] == []


async def test_the_parent_centre_verifies_where_nobody_else_could(
    shared_district: District,
) -> None:
    incident = await incident_in(shared_district, "submitted")
    await walk(
        shared_district,
        incident,
        (DESK, "accept", {}),
        (DESK, "handle_here", {}),
        (DESK, "complete", OUTCOME),
    )
    own = (await look(shared_district, DESK, incident))["allowed_actions"]
    assert "comment" in own
    for offered in (own, (await look(shared_district, TOP, incident))["allowed_actions"]):
        assert not {"verify_pass", "verify_fail", "confirm"} & set(offered)
    shown = await walk(shared_district, incident, (TOWNSHIP, "verify_fail", REASON))
    assert (shown["state"], shown["step"]["unit"]["code"]) == ("in_progress", YONGHONG)
    await walk(shared_district, incident, (DESK, "complete", OUTCOME))
    shown = await walk(shared_district, incident, (TOWNSHIP, "verify_pass", {}))
    assert shown["state"] == "closed"


async def test_another_person_of_the_same_police_post_can_go_on(
    shared_district: District,
) -> None:
    await hire(shared_district, "police-2", (Role.HANDLER, POLICE_LIUHU))
    incident = await incident_in(shared_district, "in_progress")
    shown = await walk(shared_district, incident, ("police-2", *COMPLETE[1:]))
    assert shown["state"] == "handled"


async def test_a_comment_is_about_no_revision_and_makes_none(shared_district: District) -> None:
    incident = await incident_in(shared_district, "submitted")
    before = await rows_of(shared_district, incident)
    for body in (
        {"action": "comment", "text": "一"},
        {"action": "comment", "text": "二", "revision": 1},
        {"action": "comment", "text": "三", "revision": 99},
    ):
        answer = await send(shared_district, WORKER, incident, body)
        assert (answer.status_code, answer.json()["revision"]) == (200, before.incident.revision)
    assert (await rows_of(shared_district, incident)).incident.history_seq == 5


async def test_s8_if_match_stands_for_the_revision(shared_district: District) -> None:
    incident = await incident_in(shared_district, "submitted")
    client = await signed_in(shared_district, DESK)
    seen = await client.get(f"/v1/incidents/{incident}")
    answer = await send(
        shared_district,
        DESK,
        incident,
        {"action": "accept"},
        headers={"If-Match": seen.headers["ETag"]},
    )
    assert answer.status_code == 200
    assert answer.headers["ETag"] == f'"{answer.json()["revision"]}"' != seen.headers["ETag"]


async def test_of_two_at_once_exactly_one_moves(shared_district: District) -> None:
    """The one who comes second has seen a revision that is no more."""
    incident = await incident_in(shared_district, "submitted")
    shown = await look(shared_district, DESK, incident)
    bodies = [
        {"action": "accept", "revision": shown["revision"]},
        {"action": "reject", "revision": shown["revision"], "reason": "理由"},
    ] * 4
    answers = await asyncio.gather(
        *(send(shared_district, DESK, incident, body) for body in bodies)
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
    rows = await rows_of(shared_district, incident)
    assert rows.incident.revision == shown["revision"] + 1
    assert first_break(rows.history) is None


async def test_the_clock_of_the_new_state_runs(shared_district: District) -> None:
    """Urgent matters run around the clock: an hour to accept, an hour to dispatch."""
    now = shared_district.clock.now()
    incident = await incident_in(shared_district, "submitted", urgency="urgent")
    shown = await look(shared_district, TOWNSHIP, incident)
    assert shown["step"]["due_at"] == f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    assert (shown["step"]["remaining"], shown["step"]["light"]) == (3600, "green")
    shared_district.clock.advance(timedelta(minutes=50))
    assert (await look(shared_district, TOWNSHIP, incident))["step"]["light"] == "yellow"
    shared_district.clock.advance(timedelta(minutes=11))
    late = (await look(shared_district, TOWNSHIP, incident))["step"]
    assert (late["remaining"], late["light"]) == (-60, "red")
    shown = await walk(shared_district, incident, (TOWNSHIP, "accept", {}))
    assert (shown["step"]["remaining"], shown["step"]["light"]) == (3600, "green")
