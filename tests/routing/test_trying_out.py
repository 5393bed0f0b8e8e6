"""Previews, dry runs, feedback and suggestions: read-only, in the own area, never applied."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.accounts.permissions import Role
from app.routing.jobs import LEASE
from app.routing.models import DryRun
from tests.district import KONGTONG, LIUHU, YONGHONG, YONGHONG_GRID, District
from tests.incidents.paths import (
    DESK,
    POLICE,
    SEALED,
    TOWNSHIP,
    WORKER,
    hire,
    incident_in,
    signed_in,
    walk,
)

PREVIEW, DRY_RUN = "/v1/routing/preview", "/v1/routing/dry-run"
SEED: list[dict[str, Any]] = [
    {"name": "特急", "urgency": "critical", "level": "township"},
    {"name": "紧急", "urgency": "urgent", "level": "township"},
    {"name": "一般", "urgency": "routine", "level": "village"},
    {"name": "疑难", "urgency": "complex", "level": "village"},
]
TO_TOWNSHIP = [{"name": "全部到镇街", "level": "township"}]


async def tried(district: District, who: str = "admin", **body: Any) -> httpx.Response:
    return await (await signed_in(district, who)).post(DRY_RUN, json=body)


async def previewed(district: District, **body: Any) -> dict[str, Any]:
    client = await signed_in(district, DESK)
    whole = {"category": "0201", "place": {"grid_code": YONGHONG_GRID}} | body
    answer = await client.post(PREVIEW, json=whole)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def test_previews_and_dry_runs_are_refused_to_others(shared_district: District) -> None:
    worker = await signed_in(shared_district, WORKER)
    body = {"category": "0201", "place": {"grid_code": YONGHONG_GRID}}
    assert (await worker.post(PREVIEW, json=body)).status_code == 403
    for who in (WORKER, DESK, POLICE, "supervisor-kongtong", "auditor"):
        assert (await tried(shared_district, who, rules=TO_TOWNSHIP)).status_code == 403, who
    assert (await tried(shared_district)).json()["errors"][0]["code"] == "one-rule-set"
    assert (await tried(shared_district, version=99)).json()["code"] == "rule-set-not-found"
    unknown = await tried(shared_district, rules=[{"name": "一", "unit_code": "nobody"}])
    assert unknown.json()["errors"][0]["pointer"] == "/rules/0/unit_code"


async def test_a_preview_names_unit_rule_version_and_trace(shared_district: District) -> None:
    routine = await previewed(shared_district)
    assert (routine["unit"]["code"], routine["rule_version"]) == (YONGHONG, 1)
    assert routine["trace"]["version"] == 1
    assert (routine["grid_uncertain"], routine["candidates"]) == (False, [])
    urgent = await previewed(shared_district, urgency="urgent")
    assert urgent["unit"]["code"] == LIUHU


async def test_near_a_border_a_preview_shows_every_candidate(shared_district: District) -> None:
    client = await signed_in(shared_district, WORKER)
    node = (await client.get(f"/v1/areas/{YONGHONG_GRID}")).json()
    place = {"lon": node["lon"], "lat": node["lat"], "accuracy_m": 2000}
    shown = await previewed(shared_district, place=place)
    assert shown["grid_uncertain"] is True
    assert len(shown["candidates"]) >= 2
    first = shown["candidates"][0]
    assert (first["grid_code"], first["distance_m"]) == (shown["grid_code"], 0.0)
    assert all(each["unit"]["code"] and each["trace"]["tried"] for each in shown["candidates"])


async def test_the_unchanged_set_changes_nothing(shared_district: District) -> None:
    for urgency in ("routine", "urgent", "critical", "complex"):
        await shared_district.report(urgency=urgency)
    for body in ({"rules": SEED}, {"version": 1}):
        answer = await tried(shared_district, **body)
        assert answer.status_code == 200
        view = answer.json()
        assert (view["state"], view["report"]["changed"]) == ("done", 0)
        assert view["examined"] >= 4
        assert view["report"]["pairs"] == view["report"]["matters"] == []


async def test_a_changed_set_tells_what_would_have_gone_elsewhere(district: District) -> None:
    """Counts per pair of units, the matters themselves; sealed ones and foreign ones are not in."""
    moved = (await district.report())["id"]
    await district.report(urgency="urgent")
    await district.report(**SEALED)
    report = (await tried(district, rules=TO_TOWNSHIP)).json()["report"]
    assert (report["changed"], report["compared_with"], report["truncated"]) == (1, 1, False)
    (pair,) = report["pairs"]
    assert (pair["from_unit"]["code"], pair["to_unit"]["code"]) == (YONGHONG, LIUHU)
    (matter,) = report["matters"]
    assert (matter["incident_id"], matter["to_rule"]) == (moved, "全部到镇街")
    district.clock.advance(timedelta(days=2))
    assert (await tried(district, rules=TO_TOWNSHIP, days=1)).json()["examined"] == 0
    await hire(district, "admin-minxin", (Role.ADMINISTRATOR, "620802003007"))
    elsewhere = (await tried(district, "admin-minxin", rules=TO_TOWNSHIP)).json()
    assert elsewhere["examined"] == 0


async def test_h11_a_dry_run_is_its_owners_and_a_dead_one_says_so(district: District) -> None:
    answer = await tried(district, rules=TO_TOWNSHIP)
    where = answer.headers["location"]
    admin = await signed_in(district, "admin")
    assert (await admin.get(where)).json() == answer.json()
    await hire(district, "admin-2", (Role.ADMINISTRATOR, KONGTONG))
    foreign = await (await signed_in(district, "admin-2")).get(where)
    assert (foreign.status_code, foreign.json()["code"]) == (404, "dry-run-not-found")
    async with district.resources.sessions.begin() as session:
        run = await session.get_one(DryRun, answer.json()["id"])
        run.state = "running"
    district.clock.advance(LEASE + timedelta(seconds=1))
    assert (await admin.get(where)).json()["state"] == "interrupted"


@pytest.mark.parametrize(
    ("action", "told"),
    [("escalate", "escalated"), ("return", "returned")],
)
async def test_what_bounced_is_told_per_rule(district: District, action: str, told: str) -> None:
    bounced = (await district.report())["id"]
    await walk(district, bounced, (DESK, action, {"reason": "不属本村"}))
    await incident_in(district, "rejected")
    sealed = (await district.report(**SEALED))["id"]
    await walk(district, sealed, (DESK, action, {"reason": "不属本村"}))
    path = "/v1/routing/rules/feedback"
    assert (await (await signed_in(district, WORKER)).get(path)).status_code == 403
    (rule,) = (await (await signed_in(district, DESK)).get(path)).json()["items"]
    assert (rule["routed"], rule["bounced"], rule[told]) == (2, 1, 1)
    assert (rule["rule_version"], rule["rule"]) == (1, "一般：村（社区）中心办理")
    await hire(district, "desk-minxin", (Role.DISPATCHER, "620802003007"))
    assert (await (await signed_in(district, "desk-minxin")).get(path)).json()["items"] == []


async def test_who_closed_similar_matters_is_suggested_and_nothing_is_applied(
    district: District,
) -> None:
    await incident_in(district, "closed")
    incident = (await district.report())["id"]
    client = await signed_in(district, TOWNSHIP)
    told = (await client.get(f"/v1/incidents/{incident}/routing")).json()
    (hint,) = told["suggestions"]
    assert (hint["unit"]["name"], hint["closed"]) == ("柳湖派出所", 1)
    assert len(hint["reasons"]) == 2
    shown = (await client.get(f"/v1/incidents/{incident}")).json()
    assert shown["step"]["unit"]["code"] == YONGHONG
