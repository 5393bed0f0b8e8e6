"""Similar matters and clusters through the door: what the caller may see, sealed ones never."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from app.accounts.permissions import Role
from app.core.audit import AuditEntry
from app.incidents.linking import find_links
from app.incidents.models import Incident
from app.incidents.relations import IncidentLink
from tests.district import YONGHONG_GRID, District
from tests.incidents.paths import (
    DESK,
    OUTSIDER,
    POLICE,
    SEALED,
    TOWNSHIP,
    WORKER,
    hire,
    signed_in,
)

SIMILAR = "/v1/incidents/similar"
WORDS = "楼道堆放杂物，堵塞消防通道"


async def point(district: District, grid: str = YONGHONG_GRID) -> dict[str, Any]:
    node = (await (await signed_in(district, WORKER)).get(f"/v1/areas/{grid}")).json()
    return {"lon": node["lon"], "lat": node["lat"], "accuracy_m": 5}


async def asked(district: District, who: str, **changes: Any) -> list[dict[str, Any]]:
    client = await signed_in(district, who)
    body = {"category": "0201", "text": WORDS, "place": await point(district)} | changes
    answer = await client.post(SIMILAR, json=body)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_who_may_not_report_may_not_ask(shared_district: District) -> None:
    for who in (POLICE, "auditor", "admin", "supervisor-kongtong"):
        client = await signed_in(shared_district, who)
        answer = await client.post(SIMILAR, json={"category": "0201"})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), who


async def test_similar_matters_outside_the_scope_do_not_exist(district: District) -> None:
    """Neither before sending nor at intake: somebody elsewhere learns nothing."""
    place = await point(district)
    known = (await district.report(place=place))["id"]
    assert [each["incident_id"] for each in await asked(district, WORKER)] == [known]
    assert await asked(district, OUTSIDER) == []
    await hire(district, "desk-minxin", (Role.DISPATCHER, "620802003007"))
    assert await asked(district, "desk-minxin") == []
    client = await signed_in(district, "desk-minxin")
    answer = await client.get(f"/v1/incidents/{known}/similar")
    assert (answer.status_code, answer.json()["code"]) == (404, "incident-not-found")


async def test_a_sealed_matter_is_nobodys_candidate(district: District) -> None:
    """Not even its own reporter's: an answer could be read over a shoulder."""
    place = await point(district)
    tip = SEALED | {"place": place}
    first = (await district.report(**tip))["id"]
    second = (await district.report(**tip))["id"]
    for who in (WORKER, DESK):
        assert await asked(district, who, category="0301", text=tip["text"]) == []
        client = await signed_in(district, who)
        for each in (first, second):
            answer = await client.get(f"/v1/incidents/{each}/similar")
            assert answer.json()["items"] == []


async def test_candidates_come_with_scores_and_reasons(district: District) -> None:
    place = await point(district)
    same = (await district.report(place=place))["id"]
    other = (await district.report(place=place, text="电线老化冒火花", category="0202"))["id"]
    elsewhere = place | {"lat": place["lat"] + 0.01}
    await district.report(place=elsewhere)
    await district.report(place=place, category="0101")
    found = await asked(district, WORKER)
    assert [each["incident_id"] for each in found] == [same, other]
    assert found[0]["score"] > 0.9 > found[1]["score"]
    kinds = [reason["kind"] for reason in found[0]["reasons"]]
    assert kinds == ["similar_text", "near", "same_category", "same_time"]
    district.clock.advance(timedelta(hours=73))
    assert await asked(district, WORKER) == []


async def test_at_intake_a_matter_is_not_its_own_candidate(district: District) -> None:
    place = await point(district)
    first, second = [(await district.report(place=place))["id"] for _ in range(2)]
    desk = await signed_in(district, DESK)
    found = (await desk.get(f"/v1/incidents/{second}/similar")).json()["items"]
    assert [each["incident_id"] for each in found] == [first]


async def test_withdrawn_matters_are_no_candidates(district: District) -> None:
    place = await point(district)
    gone = (await district.report(place=place))["id"]
    assert (await district.act(WORKER, gone, "withdraw")).status_code == 200
    assert await asked(district, WORKER) == []


async def test_candidates_are_found_by_the_index(district: District) -> None:
    async with district.resources.sessions.read() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await session.scalars(
            text(
                "EXPLAIN SELECT id FROM incidents WHERE root = '02' AND received_at BETWEEN"
                " now() - interval '3 days' AND now() AND lat BETWEEN 35.53 AND 35.54"
                " AND lon BETWEEN 106.67 AND 106.68"
            )
        )
        found = "\n".join(plan)
        # of an empty table either will do
        assert "ix_incidents_near" in found or "ix_incidents_point" in found


# --- clusters -------------------------------------------------------------------------------------


async def _linked(district: District, **changes: Any) -> list[str]:
    """Three reports of one way of doing it, linked by the periodic run."""
    made = []
    for _ in range(3):
        district.clock.advance(timedelta(minutes=1))
        made.append(
            (await district.report(text="单元门口飞线充电", category="0202", **changes))["id"]
        )
    await find_links(district.resources)
    return made


async def _clusters(district: District, who: str) -> list[dict[str, Any]]:
    client = await signed_in(district, who)
    answer = await client.get("/v1/clusters")
    assert answer.status_code == 200
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_clusters_are_for_desks_and_supervisors_of_the_place(district: District) -> None:
    await _linked(district)
    for who in (WORKER, POLICE, "admin", "auditor"):
        client = await signed_in(district, who)
        assert (await client.get("/v1/clusters")).status_code == 403, who
    await hire(district, "desk-minxin", (Role.DISPATCHER, "620802003007"))
    assert await _clusters(district, "desk-minxin") == []
    for who in (DESK, TOWNSHIP, "supervisor-kongtong"):
        (cluster,) = await _clusters(district, who)
        assert (cluster["size"], cluster["words"]) == (3, ["飞线充电"]), who


async def test_sealed_matters_are_in_no_cluster(district: District) -> None:
    """Neither linked nor, where one was linked before its category was sealed, shown."""
    made = await _linked(district)
    for _ in range(2):
        await district.report(**SEALED | {"text": "深夜撬锁"})
    await find_links(district.resources)
    async with district.resources.sessions.begin() as session:
        sealed = select(Incident.id).where(Incident.sealed)
        links = select(IncidentLink.id).where(IncidentLink.later_id.in_(sealed))
        assert (await session.scalars(links)).all() == []
        (await session.get_one(Incident, UUID(made[1]))).sealed = True
    shown = [m["incident_id"] for each in await _clusters(district, DESK) for m in each["matters"]]
    assert made[1] not in shown


async def test_a_second_run_changes_nothing_and_a_dismissed_link_stays_so(
    district: District,
) -> None:
    await _linked(district)
    (cluster,) = await _clusters(district, DESK)
    desk = await signed_in(district, DESK)
    for link in cluster["links"]:
        path = f"/v1/clusters/links/{link['id']}"
        worker = await signed_in(district, WORKER)
        assert (await worker.post(f"{path}/dismiss", json={"reason": "否"})).status_code == 403
        answer = await desk.post(f"{path}/dismiss", json={"reason": "不是一回事"})
        assert answer.status_code == 200
    await find_links(district.resources)
    assert await _clusters(district, DESK) == []
    restored = await desk.post(f"/v1/clusters/links/{cluster['links'][0]['id']}/restore")
    assert (restored.status_code, restored.json()["dismissed_at"]) == (200, None)
    (again,) = await _clusters(district, DESK)
    assert again["size"] == 2
    async with district.resources.sessions.read() as session:
        actions = await session.scalars(
            select(AuditEntry.action).where(AuditEntry.object_kind == "incident_link")
        )
        assert "incident_link.restored" in actions.all()


@pytest.mark.parametrize("action", ["dismiss", "restore"])
async def test_a_link_outside_the_scope_does_not_exist(district: District, action: str) -> None:
    await _linked(district)
    (cluster,) = await _clusters(district, DESK)
    await hire(district, "desk-minxin", (Role.DISPATCHER, "620802003007"))
    client = await signed_in(district, "desk-minxin")
    path = f"/v1/clusters/links/{cluster['links'][0]['id']}/{action}"
    answer = await client.post(path, json={"reason": "否"} if action == "dismiss" else None)
    assert (answer.status_code, answer.json()["code"]) == (404, "link-not-found")
