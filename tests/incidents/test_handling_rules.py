"""The finer rules of handling: what may be asked, granted, merged, reopened, and by whom."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from app.accounts.permissions import Role
from tests.district import LIUHU, POLICE_LIUHU, YONGHONG, District
from tests.incidents.paths import (
    ACCEPT,
    COMPLETE,
    DESK,
    DISPATCH,
    PASS,
    POLICE,
    SEALED,
    SIGN,
    TOP,
    TOWNSHIP,
    UP,
    WORKER,
    Move,
    hire,
    incident_in,
    look,
    pass_time,
    rows_of,
    signed_in,
    walk,
)

ASKED: Move = (POLICE, "request_extension", {"days": 4, "reason": "需鉴定"})
JUSTICE = f"{LIUHU}-justice"


def _is(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def _titles(district: District, who: str, incident: str) -> list[str]:
    client = await signed_in(district, who)
    inbox = (await client.get("/v1/inbox", params={"limit": 200})).json()["items"]
    return [item["title"] for item in inbox if item["incident_id"] == incident]


async def test_days_asked_and_days_granted_stand_apart(district: District) -> None:
    incident = await incident_in(district, "in_progress")
    due = (await look(district, POLICE, incident))["step"]["due_at"]
    shown = await walk(district, incident, ASKED)
    assert (shown["step"]["extension_asked"], shown["step"]["extension_days"]) == (4, 0)
    assert shown["step"]["due_at"] == due  # nothing moves before it is decided
    _is(await district.act(POLICE, incident, ASKED[1], **ASKED[2]), 409, "action-not-allowed")
    too_long = await district.act(TOWNSHIP, incident, "decide_extension", days=5)
    _is(too_long, 422, "extension-too-long")
    shown = await walk(district, incident, (TOWNSHIP, "decide_extension", {"days": 2}))
    assert (shown["step"]["extension_asked"], shown["step"]["extension_days"]) == (None, 2)
    assert shown["step"]["due_at"] > due
    # a second one is decided by the parent
    await walk(district, incident, ASKED)
    _is(await district.act(TOWNSHIP, incident, "decide_extension", days=1), 403, "action-forbidden")
    shown = await walk(district, incident, (TOP, "decide_extension", {"days": 1}))
    assert shown["step"]["extension_days"] == 3
    _is(await district.act(POLICE, incident, ASKED[1], **ASKED[2]), 409, "action-not-allowed")


async def test_a_refused_extension_grants_nothing(district: District) -> None:
    incident = await incident_in(district, "in_progress")
    due = (await look(district, POLICE, incident))["step"]["due_at"]
    shown = await walk(district, incident, ASKED, (TOWNSHIP, "decide_extension", {"days": 0}))
    step = shown["step"]
    assert (step["extension_asked"], step["extension_days"], step["due_at"]) == (None, 0, due)


async def test_a_complex_matter_gets_ten_days_at_most(district: District) -> None:
    incident = await incident_in(district, "in_progress", urgency="complex")
    answer = await district.act(POLICE, incident, "request_extension", days=11, reason="需鉴定")
    _is(answer, 422, "extension-too-long")
    await walk(
        district,
        incident,
        (POLICE, "request_extension", {"days": 8, "reason": "需鉴定"}),
        (TOWNSHIP, "decide_extension", {"days": 8}),
    )
    answer = await district.act(POLICE, incident, "request_extension", days=3, reason="需鉴定")
    _is(answer, 422, "extension-too-long")


async def test_after_expiry_no_extension_is_asked_for(district: District) -> None:
    incident = (await district.report(urgency="urgent"))["id"]
    await walk(district, incident, ACCEPT, DISPATCH, SIGN)
    district.clock.advance(timedelta(hours=24))
    _is(await district.act(POLICE, incident, ASKED[1], **ASKED[2]), 409, "action-not-allowed")


async def test_a_red_card_voids_the_extension_asked_for(district: District) -> None:
    incident = await incident_in(district, "in_progress")
    await walk(district, incident, ASKED, (TOP, "supervise", {"level": "red"}))
    rows = await rows_of(district, incident)
    assert rows.current[0].extension_asked is None
    assert rows.history[-1].facts == {"level": "red", "extension": "void"}
    answer = await district.act(TOWNSHIP, incident, "decide_extension", days=1)
    assert answer.status_code in {403, 409}


async def test_a_red_card_by_the_clock_voids_it_too(district: District) -> None:
    incident = (await district.report(urgency="urgent"))["id"]
    await walk(district, incident, ACCEPT, DISPATCH, SIGN)
    await walk(district, incident, ASKED)
    await pass_time(district, timedelta(hours=48, minutes=1))
    rows = await rows_of(district, incident)
    assert (rows.current[0].supervision, rows.current[0].extension_asked) == ("red", None)
    assert rows.history[-1].facts == {"level": "red", "extension": "void"}


async def test_supervision_only_rises_and_is_lifted_by_no_lower_level(district: District) -> None:
    incident = await incident_in(district, "in_progress")
    await walk(district, incident, (TOWNSHIP, "supervise", {"level": "yellow"}))
    same = await district.act(TOWNSHIP, incident, "supervise", level="yellow")
    _is(same, 409, "level-not-higher")
    await walk(district, incident, (TOP, "supervise", {"level": "red"}))
    lower = await district.act(TOWNSHIP, incident, "lift_supervision")
    _is(lower, 403, "action-forbidden")
    assert "红牌督办" in await _titles(district, POLICE, incident)
    shown = await walk(district, incident, (TOP, "lift_supervision", {}))
    assert shown["step"]["supervision"] == "normal"
    wrong = await district.act(TOP, incident, "supervise", level="urgent")
    _is(wrong, 422, "level-invalid")


async def test_a_desk_supervises_no_level_above_it(district: District) -> None:
    incident = await incident_in(district, "in_progress")
    _is(await district.act(DESK, incident, "supervise", level="red"), 403, "action-forbidden")


async def test_verification_clears_the_card(district: District) -> None:
    incident = await incident_in(district, "in_progress")
    await walk(district, incident, (TOP, "supervise", {"level": "red"}), COMPLETE, PASS)
    assert (await rows_of(district, incident)).current[0].supervision == "normal"


async def test_the_reporters_word_counts_as_verification(district: District) -> None:
    incident = await incident_in(district, "handled")
    shown = await walk(district, incident, (WORKER, "confirm", {}))
    assert shown["state"] == "closed"


async def test_who_completed_it_does_not_confirm_it_as_its_reporter(district: District) -> None:
    await hire(district, "both", (Role.DISPATCHER, LIUHU), (Role.GRID_WORKER, YONGHONG))
    incident = (await district.report("both", urgency="urgent"))["id"]
    await walk(
        district,
        incident,
        ("both", "accept", {}),
        ("both", "handle_here", {}),
        ("both", "complete", {"outcome": "已处理"}),
    )
    _is(await district.act("both", incident, "confirm"), 403, "action-forbidden")
    assert "confirm" not in (await look(district, "both", incident))["allowed_actions"]


async def test_urging_is_heard_once_a_day(district: District) -> None:
    incident = await incident_in(district, "in_progress")
    await walk(district, incident, (WORKER, "urge", {}))
    assert "上报人催办，请尽快办理" in await _titles(district, POLICE, incident)
    _is(await district.act(WORKER, incident, "urge"), 409, "urged-already")
    district.clock.advance(timedelta(hours=23, minutes=59))
    _is(await district.act(WORKER, incident, "urge"), 409, "urged-already")
    district.clock.advance(timedelta(minutes=1))
    assert (await district.act(WORKER, incident, "urge")).status_code == 200


async def test_after_two_bounces_the_dispatching_unit_decides(district: District) -> None:
    incident = await incident_in(district, "accepted")
    for _ in range(2):
        await walk(district, incident, DISPATCH, (POLICE, "refuse", {"reason": "非职责"}))
    shown = await walk(district, incident, DISPATCH)
    assert "refuse" not in (await look(district, POLICE, incident))["allowed_actions"]
    refused = await district.act(POLICE, incident, "refuse", reason="非职责")
    _is(refused, 409, "action-not-allowed")
    assert shown["state"] == "dispatched"


async def test_every_reporter_of_a_merged_one_gets_the_masters_outcome(district: District) -> None:
    await hire(district, "worker-2", (Role.GRID_WORKER, YONGHONG), grid_codes=("620802105202001",))
    await hire(district, "desk-2", (Role.DISPATCHER, YONGHONG))
    master = (await district.report())["id"]
    first = (await district.report("worker-2"))["id"]
    second = (await district.report("worker-2"))["id"]
    await walk(district, second, (DESK, "merge", {"into": first}))
    shown = await walk(district, first, (DESK, "merge", {"into": master}))
    assert (shown["state"], shown["merged_into"], shown["step"]) == ("merged", master, None)
    assert "有事件并入" in await _titles(district, "desk-2", first)
    await walk(district, master, UP, ACCEPT, DISPATCH, SIGN, COMPLETE, PASS)
    assert (await look(district, "worker-2", first))["outcome"] == COMPLETE[2]["outcome"]
    assert (await look(district, "worker-2", second))["outcome"] == COMPLETE[2]["outcome"]
    told = [
        *await _titles(district, "worker-2", first),
        *await _titles(district, "worker-2", second),
    ]
    assert "核查通过，已办结" in told


async def test_a_master_is_neither_withdrawn_nor_returned(district: District) -> None:
    master, other = (await district.report())["id"], (await district.report())["id"]
    await walk(district, other, (DESK, "merge", {"into": master}))
    assert "withdraw" not in (await look(district, WORKER, master))["allowed_actions"]
    _is(await district.act(WORKER, master, "withdraw"), 409, "action-not-allowed")
    _is(await district.act(DESK, master, "return", reason="补充"), 409, "action-not-allowed")
    # nothing is merged into itself, nor into what is over
    for into in (master, other):
        answer = await district.act(DESK, master, "merge", into=into)
        _is(answer, 422, "incident-not-eligible")


async def test_what_lies_outside_the_scope_is_named_by_nobody(district: District) -> None:
    """A tip that waits in the village does not exist for the township, under no name."""
    tip = await incident_in(district, "submitted", **SEALED)
    number = (await look(district, WORKER, tip))["number"]
    incident = await incident_in(district, "accepted")
    never = "0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0aff"
    for action in ("merge", "relate"):
        for into in (tip, number, never):
            answer = await district.act(TOWNSHIP, incident, action, into=into)
            _is(answer, 422, "incident-not-eligible")


async def test_a_merge_is_undone_within_seven_days(district: District) -> None:
    first, second = (
        await incident_in(district, "merged"),
        await incident_in(district, "merged"),
    )
    shown = await walk(district, first, (DESK, "unmerge", {}))
    assert (shown["state"], shown["merged_into"]) == ("submitted", None)
    assert shown["step"]["unit"]["code"] == YONGHONG
    district.clock.advance(timedelta(days=7))
    _is(await district.act(DESK, second, "unmerge"), 409, "action-not-allowed")


async def test_a_matter_is_reopened_once_within_the_window(district: District) -> None:
    incident = await incident_in(district, "closed")
    shown = await walk(district, incident, (WORKER, "reopen", {"reason": "又堆上了"}))
    assert (shown["state"], shown["step"]["unit"]["code"]) == ("in_progress", POLICE_LIUHU)
    await walk(district, incident, COMPLETE, PASS)
    again = await district.act(WORKER, incident, "reopen", reason="再来")
    _is(again, 409, "action-not-allowed")
    late = await incident_in(district, "closed")
    district.clock.advance(timedelta(days=7))
    _is(await district.act(WORKER, late, "reopen", reason="晚了"), 409, "action-not-allowed")


async def test_a_self_handled_report_that_is_reopened_gets_a_step(district: District) -> None:
    files: dict[str, Any] = {
        "attachments": [{"id": "0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a77", "kind": "photo"}],
        "self_handled": {
            "outcome": "已清理",
            "attachments": ["0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a77"],
        },
    }
    incident = (await district.report(**files))["id"]
    assert (await look(district, WORKER, incident))["step"] is None
    shown = await walk(district, incident, (DESK, "reopen", {"reason": "回访发现未清理"}))
    assert (shown["state"], shown["step"]["unit"]["code"]) == ("in_progress", YONGHONG)


async def test_who_assists_reports_progress_and_the_lead_stays_responsible(
    district: District,
) -> None:
    await hire(district, "justice", (Role.HANDLER, JUSTICE))
    incident = await incident_in(district, "in_progress")
    client = await signed_in(district, "justice")
    assert (await client.get(f"/v1/incidents/{incident}")).status_code == 404
    shown = await walk(district, incident, (POLICE, "assist", {"to_unit": JUSTICE}))
    assert (shown["owner"]["code"], len(shown["step"]["assisting"])) == (POLICE_LIUHU, 1)
    assert "请协同处置" in await _titles(district, "justice", incident)
    offered = (await look(district, "justice", incident))["allowed_actions"]
    assert "progress" in offered
    assert not {"complete", "refuse", "request_extension"} & set(offered)
    await walk(district, incident, ("justice", "progress", {"text": "已出具意见"}))
    twice = await district.act(POLICE, incident, "assist", to_unit=JUSTICE)
    _is(twice, 422, "unit-not-eligible")
    await walk(district, incident, COMPLETE)
    rows = await rows_of(district, incident)
    assert all(step.ended_at for step in rows.steps if step.assists)
    _is(await district.act("justice", incident, "progress", text="迟到"), 409, "action-not-allowed")


async def test_a_suspension_stops_the_clock_and_ends_by_itself(district: District) -> None:
    incident = await incident_in(district, "in_progress")
    due = (await rows_of(district, incident)).current[0].due_at
    await walk(
        district,
        incident,
        (POLICE, "request_suspension", {"reason": "等鉴定", "review_on": "2026-03-16"}),
    )
    shown = await walk(district, incident, (TOWNSHIP, "suspend", {"reason": "同意"}))
    step = shown["step"]
    assert (step["due_at"], step["light"], step["remaining"]) == (None, None, None)
    assert step["review_at"] == "2026-03-15T16:00:00Z"  # the local day begins
    past = await district.act(TOWNSHIP, incident, "suspend", reason="再")
    _is(past, 409, "action-not-allowed")
    await pass_time(district, timedelta(days=4, hours=11))
    assert (await look(district, POLICE, incident))["state"] == "suspended"
    await pass_time(district, timedelta(hours=2))
    rows = await rows_of(district, incident)
    assert (rows.incident.state, rows.history[-1].action) == ("in_progress", "auto_resume")
    # Wednesday noon to Monday morning: an afternoon, Thursday and Friday
    assert rows.current[0].suspended_s == (210 + 2 * 420) * 60
    # as much later: from Wednesday noon to Friday evening
    assert due == datetime(2026, 3, 18, 4, tzinfo=UTC)
    assert rows.current[0].due_at == datetime(2026, 3, 20, 10, tzinfo=UTC)


async def test_a_review_date_lies_ahead_and_not_too_far(district: District) -> None:
    incident = await incident_in(district, "in_progress")
    for wrong in ("2026-03-11", "2026-03-01", "2026-12-31"):
        answer = await district.act(TOWNSHIP, incident, "suspend", reason="等", review_on=wrong)
        _is(answer, 422, "review-date-invalid")
    missing = await district.act(TOWNSHIP, incident, "suspend", reason="等")
    _is(missing, 422, "field-required")


async def test_a_note_is_read_by_staff_and_not_by_the_reporter(district: District) -> None:
    incident = await incident_in(district, "in_progress")
    before = await _titles(district, WORKER, incident)
    await walk(district, incident, (POLICE, "note", {"text": "当事人情绪激动"}))
    assert await _titles(district, WORKER, incident) == before
    for who, text in ((WORKER, None), (TOWNSHIP, "当事人情绪激动"), (TOP, "当事人情绪激动")):
        client = await signed_in(district, who)
        history = (await client.get(f"/v1/incidents/{incident}/history")).json()["items"]
        assert (history[-1]["action"], history[-1]["text"]) == ("note", text)


async def test_a_unit_that_is_informed_reads_and_does_nothing(district: District) -> None:
    await hire(district, "justice", (Role.HANDLER, JUSTICE))
    incident = await incident_in(district, "in_progress")
    client = await signed_in(district, "justice")
    assert (await client.get(f"/v1/incidents/{incident}")).status_code == 404
    await walk(district, incident, (TOWNSHIP, "inform", {"to_unit": JUSTICE}))
    assert (await look(district, "justice", incident))["allowed_actions"] == []
    assert await _titles(district, "justice", incident) == ["事件知会，请知悉"]


async def test_critical_is_told_to_all_three_levels_at_once(district: District) -> None:
    incident = (await district.report(urgency="critical"))["id"]
    for who in (DESK, TOWNSHIP, TOP):
        assert await _titles(district, who, incident), who
    raised = await incident_in(district, "submitted")
    before = (await look(district, DESK, raised))["step"]["due_at"]
    shown = await walk(district, raised, (DESK, "raise_urgency", {"level": "critical"}))
    assert (shown["urgency"], shown["step"]["due_at"] < before) == ("critical", True)
    for who in (TOWNSHIP, TOP):
        assert "紧急程度已提高，请按新时限办理" in await _titles(district, who, raised)
    lower = await incident_in(district, "submitted", urgency="urgent")
    answer = await district.act(TOP, lower, "raise_urgency", level="urgent")
    _is(answer, 409, "level-not-higher")


async def test_an_assignment_from_above_keeps_its_document_and_reports_back(
    district: District,
) -> None:
    incident = await incident_in(district, "in_progress")
    fields = {
        "level": "city",
        "document_number": "平政法督〔2026〕7号",
        "leading_official": "李副市长",
        "text": "限期化解，书面报告",
        "due_on": "2026-04-01",
    }
    shown = await walk(district, incident, ("supervisor-kongtong", "assign_from_above", fields))
    assert shown["assignment"] == {
        "level": "city",
        "document_number": "平政法督〔2026〕7号",
        "leading_official": "李副市长",
        "requirement": "限期化解，书面报告",
        "due_on": "2026-04-01",
        "due_at": "2026-04-01T16:00:00Z",
        "light": "green",
    }
    await walk(district, incident, COMPLETE, PASS)
    assert "核查通过，已办结" in await _titles(district, TOP, incident)
