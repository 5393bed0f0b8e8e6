"""Moves that are refused: in the wrong state, by the wrong person, on a stale view, half filled."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.accounts.models import Unit
from app.accounts.permissions import Role
from app.core.db import new_id
from app.incidents.status import BY_ACTION, FREE, TRANSITIONS, Action, State, Who
from tests.district import KONGTONG, LIUHU, POLICE_LIUHU, YONGHONG, YONGHONG_GRID, District
from tests.incidents.paths import (
    DESK,
    OUTSIDER,
    PATHS,
    POLICE,
    TOP,
    TOWNSHIP,
    WORKER,
    found_unit,
    hire,
    incident_in,
    look,
    rows_of,
    send,
    walk,
)

FILLED: dict[str, Any] = {
    "reason": "理由",
    "text": "情况",
    "outcome": "已处理",
    "to_unit": POLICE_LIUHU,
    "score": 5,
    "days": 3,
    "into": "620802105-20260311-9999",
    "review_on": "2026-04-30",
    "due_on": "2026-04-30",
    "external_body": "区人民法院",
    "receipt_number": "2026-15",
    "document_number": "崆政法〔2026〕3号",
    "leading_official": "王某",
    "level": "red",
    "attachments": ["0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a11"],
}
COULD_EVER: Mapping[Who, str] = {
    Who.REPORTER: WORKER,
    Who.OWNER: TOWNSHIP,
    Who.VILLAGE_OWNER: TOWNSHIP,
    Who.HANDLER: TOWNSHIP,
    Who.VERIFIER: TOWNSHIP,
    Who.ANYONE_INVOLVED: WORKER,
    Who.CONFIRMER: WORKER,
    Who.REOPENER: WORKER,
    Who.WORKING: TOWNSHIP,
    Who.CENTRE: TOWNSHIP,
    Who.EITHER: TOWNSHIP,
    Who.DECIDER: TOWNSHIP,
    Who.STAFF: TOWNSHIP,
    Who.DESK: TOWNSHIP,
    Who.OVERSEER: TOP,
    Who.LIFTER: TOP,
    Who.SUPERVISOR: "supervisor-kongtong",
}
FROM_ABOVE = {Who.OVERSEER, Who.LIFTER, Who.DESK, Who.SUPERVISOR}
"""Whoever is above the step may do these."""
"""Somebody whose move it is in some state; the desk above sees the matter in every state."""


@pytest.fixture(scope="module")
async def standing(shared_district: District) -> dict[str, str]:
    """One matter in every state, which no test of this module moves."""
    await hire(
        shared_district, "neighbour", (Role.GRID_WORKER, YONGHONG), grid_codes=(YONGHONG_GRID,)
    )
    return {state: await incident_in(shared_district, state) for state in PATHS}


def _filled(action: Action, revision: int | None) -> dict[str, Any]:
    needs = BY_ACTION[action].needs
    return {"action": action, "revision": revision} | {need: FILLED[need] for need in needs}


def _is(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def _untouched(district: District, incident: str, revision: int) -> None:
    rows = await rows_of(district, incident)
    assert rows.incident.revision == revision
    assert all(event.processed_at for event in rows.events)


@pytest.mark.parametrize("row", TRANSITIONS, ids=lambda row: row.action)
async def test_in_the_wrong_state_every_action_is_refused_with_what_is_allowed(
    shared_district: District, standing: dict[str, str], row: Any
) -> None:
    who = COULD_EVER[row.who]
    for state in set(State) - row.sources:
        shown = await look(shared_district, who, standing[state])
        answer = await send(
            shared_district, who, standing[state], _filled(row.action, shown["revision"])
        )
        _is(answer, 409, "action-not-allowed")
        assert answer.json()["state"] == state
        assert answer.json()["allowed_actions"] == shown["allowed_actions"]
        assert row.action not in shown["allowed_actions"]
        await _untouched(shared_district, standing[state], shown["revision"])


@pytest.mark.parametrize("row", TRANSITIONS, ids=lambda row: row.action)
async def test_the_wrong_person_is_refused(
    shared_district: District, standing: dict[str, str], row: Any
) -> None:
    """An onlooker with no part in it, a desk that does not own it, a neighbour of the reporter."""
    for state in row.sources:
        above = () if row.who in FROM_ABOVE else ("supervisor-kongtong", TOP)
        for who in (*above, "neighbour"):
            shown = await look(shared_district, who, standing[state])
            answer = await send(
                shared_district, who, standing[state], _filled(row.action, shown["revision"])
            )
            _is(answer, 403, "action-forbidden")
            assert row.action not in shown["allowed_actions"]
            await _untouched(shared_district, standing[state], shown["revision"])


@pytest.mark.parametrize("row", TRANSITIONS, ids=lambda row: row.action)
async def test_for_an_outsider_there_is_nothing_to_move(
    shared_district: District, standing: dict[str, str], row: Any
) -> None:
    for state in row.sources:
        answer = await send(
            shared_district, OUTSIDER, standing[state], _filled(row.action, revision=1)
        )
        _is(answer, 404, "incident-not-found")
    unknown = await send(shared_district, WORKER, str(new_id()), _filled(row.action, revision=1))
    _is(unknown, 404, "incident-not-found")


async def test_a_handler_sees_nothing_before_the_own_unit_has_a_step(
    shared_district: District, standing: dict[str, str]
) -> None:
    for state in ("submitted", "accepted", "returned"):
        answer = await send(shared_district, POLICE, standing[state], _filled(Action.SIGN, 1))
        _is(answer, 404, "incident-not-found")


@pytest.mark.parametrize("action", ["report", "route"])
async def test_nobody_asks_for_what_the_system_does(
    shared_district: District, standing: dict[str, str], action: str
) -> None:
    body = {"action": action, "revision": 2}
    _is(await send(shared_district, DESK, standing["submitted"], body), 422, "validation-failed")


@pytest.mark.parametrize(
    "body",
    [
        {"action": "explode", "revision": 2},
        {"revision": 2},
        {"action": "accept", "revision": 0},
        {"action": "accept", "revision": 2, "surprise": 1},
        {"action": "return", "revision": 2, "reason": "  "},
        {"action": "rate", "revision": 2, "score": 6},
    ],
)
async def test_what_is_not_valid_is_refused(
    shared_district: District, standing: dict[str, str], body: dict[str, Any]
) -> None:
    answer = await send(shared_district, DESK, standing["submitted"], body)
    _is(answer, 422, "validation-failed")


MOVERS = {
    **{row.action: DESK for row in TRANSITIONS if State.SUBMITTED in row.sources},
    **{row.action: TOWNSHIP for row in TRANSITIONS if State.ACCEPTED in row.sources},
    **{row.action: POLICE for row in TRANSITIONS if row.who is Who.HANDLER},
    **{row.action: TOWNSHIP for row in TRANSITIONS if row.who is Who.VERIFIER},
    **{row.action: WORKER for row in TRANSITIONS if row.who is Who.REPORTER},
    **{row.action: WORKER for row in TRANSITIONS if row.who is Who.CONFIRMER},
    **{row.action: WORKER for row in TRANSITIONS if row.who is Who.REOPENER},
    **{row.action: POLICE for row in TRANSITIONS if row.who is Who.WORKING},
    **{row.action: TOWNSHIP for row in TRANSITIONS if row.who in {Who.CENTRE, Who.EITHER}},
    **{row.action: TOP for row in TRANSITIONS if row.who in FROM_ABOVE},
    Action.DECIDE_EXTENSION: TOWNSHIP,
    Action.UNMERGE: DESK,
    Action.ASSIGN_FROM_ABOVE: "supervisor-kongtong",
}
"""Who stands there in the first source state of the row."""


def _where(action: Action) -> str:
    order = list(PATHS)
    sources = sorted(BY_ACTION[action].sources, key=order.index)
    wanted = State.ACCEPTED if MOVERS[action] == TOWNSHIP else None
    return wanted if wanted in sources else sources[0]


@pytest.mark.parametrize("action", sorted(set(BY_ACTION) - FREE))
async def test_h6_s8_without_a_revision_or_with_a_stale_one_nothing_moves(
    shared_district: District, standing: dict[str, str], action: Action
) -> None:
    who, incident = MOVERS[action], standing[_where(action)]
    shown = await look(shared_district, who, incident)
    _is(await send(shared_district, who, incident, _filled(action, None)), 428, "revision-required")
    for stale in (shown["revision"] - 1, shown["revision"] + 1):
        answer = await send(shared_district, who, incident, _filled(action, stale))
        _is(answer, 412, "revision-stale")
        told = answer.json()
        assert (told["revision"], told["current"]) == (shown["revision"], shown)
        assert answer.headers["etag"] == f'"{shown["revision"]}"'
        assert told["state"] == shown["state"]
    for tag in ('"0"', "W/nonsense", "*"):
        answer = await send(
            shared_district, who, incident, _filled(action, None), headers={"If-Match": tag}
        )
        _is(answer, 412, "revision-stale")
    await _untouched(shared_district, incident, shown["revision"])


NEEDS = [
    (row.action, need)
    for row in TRANSITIONS
    for need in sorted(row.needs)
    if row.action not in {Action.DECIDE_EXTENSION, Action.UNRELATE}  # nothing to decide or undo
]


@pytest.mark.parametrize(("action", "need"), NEEDS)
async def test_a_missing_field_is_named(
    shared_district: District, standing: dict[str, str], action: Action, need: str
) -> None:
    who = WORKER if action is Action.COMMENT else MOVERS[action]
    incident = standing["submitted" if action is Action.COMMENT else _where(action)]
    shown = await look(shared_district, who, incident)
    body = _filled(action, shown["revision"])
    del body[need]
    answer = await send(shared_district, who, incident, body)
    _is(answer, 422, "field-required")
    assert answer.json()["field"] == need
    await _untouched(shared_district, incident, shown["revision"])


async def test_refusals_come_in_their_fixed_order(
    shared_district: District, standing: dict[str, str]
) -> None:
    """Nothing, never yours, no revision, a stale one, wrong state, not yours now, half filled."""
    closed, accepted = standing["closed"], standing["accepted"]
    right = (await look(shared_district, TOWNSHIP, closed))["revision"]
    here = (await look(shared_district, TOWNSHIP, accepted))["revision"]
    order: tuple[tuple[str, str, str, int | None, int, str], ...] = (
        (OUTSIDER, closed, "refuse", None, 404, "incident-not-found"),
        ("supervisor-kongtong", closed, "refuse", None, 403, "action-forbidden"),
        (DESK, closed, "refuse", None, 428, "revision-required"),
        (DESK, closed, "refuse", right - 1, 412, "revision-stale"),
        (DESK, closed, "refuse", right, 409, "action-not-allowed"),
        (DESK, accepted, "escalate", here, 403, "action-forbidden"),
        (TOWNSHIP, accepted, "escalate", here, 422, "field-required"),
    )
    for who, incident, action, revision, status, code in order:
        answer = await send(
            shared_district, who, incident, {"action": action, "revision": revision}
        )
        _is(answer, status, code)


async def test_self_handling_needs_after_evidence(
    shared_district: District, standing: dict[str, str]
) -> None:
    shown = await look(shared_district, DESK, standing["submitted"])
    body = _filled(Action.SELF_HANDLE, shown["revision"])
    _is(await send(shared_district, DESK, standing["submitted"], body), 422, "evidence-required")


async def test_self_handling_is_the_villages(shared_district: District) -> None:
    """At the township the matter is not handled by itself."""
    incident = await incident_in(shared_district, "submitted", urgency="urgent")
    shown = await look(shared_district, TOWNSHIP, incident)
    assert shown["step"]["unit"]["code"] == LIUHU
    assert "self_handle" not in shown["allowed_actions"]
    answer = await send(
        shared_district, TOWNSHIP, incident, _filled(Action.SELF_HANDLE, shown["revision"])
    )
    _is(answer, 403, "action-forbidden")


async def test_above_the_district_there_is_nobody(shared_district: District) -> None:
    incident = await incident_in(shared_district, "submitted")
    await walk(
        shared_district,
        incident,
        (DESK, "escalate", {"reason": "超出能力"}),
        (TOWNSHIP, "escalate", {"reason": "超出能力"}),
    )
    for _ in ("submitted", "accepted"):
        shown = await look(shared_district, TOP, incident)
        assert shown["step"]["unit"]["code"] == KONGTONG
        assert "escalate" not in shown["allowed_actions"]
        body = _filled(Action.ESCALATE, shown["revision"])
        _is(await send(shared_district, TOP, incident, body), 409, "no-superior")
        await _untouched(shared_district, incident, shown["revision"])
        await shared_district.act(TOP, incident, "accept")


@pytest.mark.parametrize(
    ("action", "to_unit"),
    [
        ("hand_down", "no-such-unit"),
        ("hand_down", str(UUID(int=7))),
        ("hand_down", POLICE_LIUHU),
        ("hand_down", LIUHU),
        ("hand_down", KONGTONG),
        ("hand_down", "620802003007"),
        ("dispatch", "no-such-unit"),
        ("dispatch", YONGHONG),
        ("dispatch", LIUHU),
        ("dispatch", "620802003-police"),
        ("dispatch", "620802-police"),
    ],
)
async def test_only_a_unit_right_below_can_be_given_it(
    shared_district: District, standing: dict[str, str], action: str, to_unit: str
) -> None:
    incident = standing["accepted"]
    shown = await look(shared_district, TOWNSHIP, incident)
    answer = await send(
        shared_district,
        TOWNSHIP,
        incident,
        {"action": action, "revision": shown["revision"], "to_unit": to_unit},
    )
    _is(answer, 422, "unit-not-eligible")
    assert answer.json()["unit"] == to_unit
    await _untouched(shared_district, incident, shown["revision"])


async def test_a_village_has_nobody_to_give_it_to(shared_district: District) -> None:
    incident = await incident_in(shared_district, "submitted")
    shown = await walk(shared_district, incident, (DESK, "accept", {}))
    moves = [a for a in shown["allowed_actions"] if BY_ACTION[Action(a)].target]
    assert moves == ["escalate", "handle_here", "merge", "transfer"]
    answer = await shared_district.act(DESK, incident, "dispatch", to_unit=POLICE_LIUHU)
    _is(answer, 422, "unit-not-eligible")


async def test_a_unit_that_was_switched_off_is_given_nothing(district: District) -> None:
    incident = await incident_in(district, "accepted")
    async with district.resources.sessions.begin() as session:
        for code in (f"{LIUHU}-justice", YONGHONG):
            (await found_unit(session, code)).active = False
    for action, code in (("dispatch", f"{LIUHU}-justice"), ("hand_down", YONGHONG)):
        answer = await district.act(TOWNSHIP, incident, action, to_unit=code)
        _is(answer, 422, "unit-not-eligible")


async def test_f31_escalation_passes_over_a_centre_that_was_switched_off(
    district: District,
) -> None:
    incident = await incident_in(district, "submitted")
    async with district.resources.sessions.begin() as session:
        township: Unit = await found_unit(session, LIUHU)
        township.active = False
    answer = await district.act(DESK, incident, "escalate", reason="镇中心停用")
    assert answer.status_code == 200, answer.text
    assert answer.json()["step"]["unit"]["code"] == KONGTONG


async def test_who_completed_it_does_not_verify_it(shared_district: District) -> None:
    await hire(shared_district, "liuhu-2", (Role.DISPATCHER, LIUHU))
    incident = await incident_in(shared_district, "accepted")
    await walk(
        shared_district,
        incident,
        (TOWNSHIP, "handle_here", {}),
        (TOWNSHIP, "complete", {"outcome": "已处理"}),
    )
    for action in (Action.VERIFY_PASS, Action.VERIFY_FAIL):
        shown = await look(shared_district, TOWNSHIP, incident)
        assert not {"verify_pass", "verify_fail", "confirm"} & set(shown["allowed_actions"])
        body = _filled(action, shown["revision"])
        _is(await send(shared_district, TOWNSHIP, incident, body), 403, "action-forbidden")
        # somebody else works there: the district is not asked
        _is(await send(shared_district, TOP, incident, body), 403, "action-forbidden")
    answer = await shared_district.act("liuhu-2", incident, "verify_pass")
    assert (answer.status_code, answer.json()["state"]) == (200, "closed")
