"""Reports on behalf of others, matters handled on the spot, parties, clocks, numbers."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.accounts.permissions import Role
from app.core.db import new_id
from app.incidents.privacy import masked
from tests.district import LIUHU, YONGHONG, District, new_incident
from tests.incidents.paths import (
    DESK,
    OUTSIDER,
    TOWNSHIP,
    WORKER,
    form,
    hire,
    listed,
    look,
    person_id,
    photo,
    rows_of,
    signed_in,
)

OUTCOME = "已当场劝离并清理"


async def _report(district: District, who: str, **changes: Any) -> httpx.Response:
    client = await signed_in(district, who)
    return await client.post("/v1/incidents", json=new_incident(**changes))


async def _inbox(district: District, who: str, incident: str) -> list[dict[str, Any]]:
    client = await signed_in(district, who)
    items = (await client.get("/v1/inbox", params={"limit": 200})).json()["items"]
    return [item for item in items if item["incident_id"] == incident]


# --- reported_for 代录


async def test_a_grid_worker_enters_for_nobody_else(shared_district: District) -> None:
    colleague = await hire(shared_district, "colleague-1", (Role.GRID_WORKER, YONGHONG))
    answer = await _report(shared_district, WORKER, reported_for=str(colleague))
    assert (answer.status_code, answer.json()["code"]) == (422, "reporter-unknown")


async def test_a_dispatcher_enters_for_nobody_outside_the_own_area(
    shared_district: District,
) -> None:
    stranger = await person_id(shared_district, OUTSIDER)
    above = await person_id(shared_district, "desk-kongtong")
    for person in (stranger, above, new_id()):
        answer = await _report(shared_district, TOWNSHIP, reported_for=str(person))
        assert (answer.status_code, answer.json()["code"]) == (422, "reporter-unknown")


async def test_nobody_enters_for_a_person_who_left(shared_district: District) -> None:
    gone = await hire(shared_district, "colleague-2", (Role.GRID_WORKER, YONGHONG))
    admin = await signed_in(shared_district, "security")
    person = (await admin.get(f"/v1/people/{gone}")).json()
    answer = await admin.patch(
        f"/v1/people/{gone}",
        json={"state": "disabled"},
        headers={"If-Match": f'"{person["revision"]}"'},
    )
    assert answer.status_code == 200, answer.text
    answer = await _report(shared_district, DESK, reported_for=str(gone))
    assert (answer.status_code, answer.json()["code"]) == (422, "reporter-unknown")


async def test_what_was_entered_for_somebody_is_theirs_and_stays_open_to_who_typed_it(
    shared_district: District,
) -> None:
    worker = await person_id(shared_district, WORKER)
    answer = await _report(shared_district, DESK, reported_for=str(worker))
    assert answer.status_code == 201
    incident = answer.json()["id"]
    await shared_district.drain()
    kept = (await rows_of(shared_district, incident)).incident
    assert kept.reporter_id == worker
    assert kept.entered_by == await person_id(shared_district, DESK)
    shown = await look(shared_district, WORKER, incident)
    assert shown["reporter"]["id"] == str(worker)
    assert "withdraw" in shown["allowed_actions"]
    assert (await _inbox(shared_district, WORKER, incident))[0]["title"] == "上报已收到"
    history = await (await signed_in(shared_district, WORKER)).get(
        f"/v1/incidents/{incident}/history"
    )
    assert history.json()["items"][0]["actor"]["name"] == "永红村调度员"


async def test_a_repeat_may_come_from_both(shared_district: District) -> None:
    worker = await person_id(shared_district, WORKER)
    meta = new_incident(reported_for=str(worker))
    for who, status in ((TOWNSHIP, 201), (TOWNSHIP, 200)):
        client = await signed_in(shared_district, who)
        assert (await client.post("/v1/incidents", json=meta)).status_code == status
    other = await (await signed_in(shared_district, DESK)).post("/v1/incidents", json=meta)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


async def test_for_oneself_is_no_proxy(shared_district: District) -> None:
    worker = await person_id(shared_district, WORKER)
    assert (await _report(shared_district, WORKER, reported_for=str(worker))).status_code == 201


# --- self_handled 自办


async def test_self_handled_needs_evidence_that_the_manifest_lists(
    shared_district: District,
) -> None:
    for attachments in ([], [str(new_id())]):
        answer = await _report(
            shared_district, WORKER, self_handled={"outcome": OUTCOME, "attachments": attachments}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")


async def test_a_matter_handled_on_the_spot_is_closed_with_its_outcome_and_never_routed(
    shared_district: District,
) -> None:
    file = listed(photo())
    meta = new_incident(
        attachments=[file], self_handled={"outcome": OUTCOME, "attachments": [file["id"]]}
    )
    worker = await signed_in(shared_district, WORKER)
    answer = await worker.post("/v1/incidents", files=form(meta, {file["id"]: photo()}))
    assert (answer.status_code, answer.json()["state"]) == (201, "closed")
    await shared_district.drain()
    rows = await rows_of(shared_district, meta["id"])
    assert (rows.incident.outcome, rows.incident.self_handled) == (OUTCOME, True)
    assert rows.incident.closed_at == rows.incident.received_at
    assert rows.steps == []
    assert [(e.from_state, e.to_state, e.action, e.text) for e in rows.history] == [
        (None, "closed", "self_handle", OUTCOME)
    ]
    assert all(event.processed_at for event in rows.events)
    assert [item["state"] for item in await _inbox(shared_district, WORKER, meta["id"])] == [
        "closed"
    ]
    trace = await (await signed_in(shared_district, DESK)).get(
        f"/v1/incidents/{meta['id']}/routing"
    )
    assert (trace.status_code, trace.json()["code"]) == (404, "not-routed-yet")


# --- what else a report carries


async def test_parties_are_masked_and_sealed_at_rest(shared_district: District) -> None:
    raiser = {"name": "李四光", "phone": "13812345678", "informed_at": None}
    parties = [{"role": "一方", "name": "王五", "phone": "13987654321"}]
    answer = await _report(shared_district, WORKER, raiser=raiser, parties=parties)
    incident = answer.json()["id"]
    kept = (await rows_of(shared_district, incident)).incident
    assert kept.raiser is not None
    for clear in ("李四光", "13812345678", "王五", "13987654321"):
        assert clear not in str([kept.raiser, kept.parties])
    keys = shared_district.resources.keys
    assert keys.unseal("party", kept.raiser["name"]) == "李四光"
    assert keys.unseal("party", kept.parties[0]["phone"]) == "13987654321"
    assert masked(kept.parties[0]).phone == "*4321"
    shown = await look(shared_district, WORKER, incident)
    told = {"role": None, "name": "李*", "phone": "*5678", "informed_at": None}
    assert shown["raiser"] == told
    party = {"role": "一方", "name": "王*", "phone": "*4321", "informed_at": None}
    assert shown["parties"] == [party]


@pytest.mark.parametrize("days", [-365, 0, 365])
async def test_f23_a_phones_wrong_clock_is_kept_and_never_believed(
    shared_district: District, days: int
) -> None:
    now = shared_district.clock.now()
    phone = now + timedelta(days=days)
    client = await signed_in(shared_district, WORKER)
    answer = await client.post(
        "/v1/incidents",
        json=new_incident(occurred_at=phone.isoformat()),
        headers={"Client-Time": phone.isoformat()},
    )
    assert answer.status_code == 201
    kept = (await rows_of(shared_district, answer.json()["id"])).incident
    assert (kept.received_at, kept.occurred_at) == (now, phone)
    assert kept.client_offset_s == days * 86400


async def test_i2_the_phones_clock_is_no_part_of_the_content(shared_district: District) -> None:
    """A repeat says another time: it is the same report, and what was noted first stays."""
    client = await signed_in(shared_district, WORKER)
    now, meta = shared_district.clock.now(), new_incident()
    answers = [
        await client.post(
            "/v1/incidents",
            json=meta,
            headers={"Client-Time": (now + timedelta(seconds=ahead)).isoformat()},
        )
        for ahead in (60, 3600)
    ]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    assert (await rows_of(shared_district, meta["id"])).incident.client_offset_s == 60


@pytest.mark.parametrize("said", ["yesterday", "2026-03-11T04:00:00", "", "9" * 40])
async def test_a_clock_that_can_not_be_read_costs_no_report(
    shared_district: District, said: str
) -> None:
    client = await signed_in(shared_district, WORKER)
    answer = await client.post("/v1/incidents", json=new_incident(), headers={"Client-Time": said})
    assert answer.status_code == 201
    kept = (await rows_of(shared_district, answer.json()["id"])).incident
    assert kept.client_offset_s is None


async def test_numbers_count_per_township_and_local_day(shared_district: District) -> None:
    numbers = [(await shared_district.report())["number"] for _ in range(2)]
    other = await shared_district.report(OUTSIDER, place={"grid_code": "620802003007001"})
    assert other["number"] == "620802003-20260311-0001"
    assert [number[:19] for number in numbers] == ["620802105-20260311-"] * 2
    assert int(numbers[1][-4:]) == int(numbers[0][-4:]) + 1
    # 23:59 in Shanghai, then the next day
    evening = shared_district.clock.now().replace(hour=15, minute=59)
    shared_district.clock.set(evening)
    assert "-20260311-" in (await shared_district.report())["number"]
    shared_district.clock.set(evening + timedelta(minutes=2))
    assert (await shared_district.report())["number"] == "620802105-20260312-0001"


async def test_a_report_belongs_to_the_desk_of_its_village_until_it_is_routed(
    shared_district: District,
) -> None:
    answer = await _report(shared_district, WORKER)
    incident = answer.json()["id"]
    shown = await look(shared_district, WORKER, incident)
    assert (shown["step"], shown["owner"]["code"]) == (None, YONGHONG)
    assert shown["allowed_actions"] == ["withdraw", "comment", "add_media", "urge"]
    desk = await look(shared_district, DESK, incident)
    assert desk["allowed_actions"] == []
    await shared_district.drain()
    assert (await look(shared_district, WORKER, incident))["step"]["unit"]["code"] == YONGHONG


async def test_a_place_outside_every_grid_is_never_lost(shared_district: District) -> None:
    """Far away, a township's dispatcher reports: the township's own desk has it."""
    receipt = await shared_district.report(TOWNSHIP, place={"lon": 0.0, "lat": 0.0})
    shown = await look(shared_district, TOWNSHIP, receipt["id"])
    assert (shown["area_code"], shown["grid_code"]) == (LIUHU, None)
    assert shown["place"]["grid_uncertain"] is True
    assert shown["step"]["unit"]["code"] == LIUHU
    assert UUID(shown["id"])
