"""Versions of the rules: who may write them, what is refused, from when they count."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from app.core.audit import AuditEntry
from app.routing.models import Decision
from tests.district import LIUHU, POLICE_LIUHU, District
from tests.incidents.paths import DESK, TOP, TOWNSHIP, WORKER, look, signed_in

RULES = "/v1/routing/rules"
ALL_TO_TOWNSHIP = {"rules": [{"name": "全部到镇街", "level": "township"}]}


async def put(
    district: District, body: dict[str, Any], tag: str | None = None, who: str = "admin"
) -> httpx.Response:
    client = await signed_in(district, who)
    seen = (await (await signed_in(district, "admin")).get(RULES)).headers["etag"]
    return await client.put(RULES, json=body, headers={"If-Match": tag or seen})


async def decision(district: District, incident: str) -> Decision:
    async with district.resources.sessions.read() as session:
        return await session.get_one(Decision, UUID(incident))


async def test_only_administrators_write_rules(shared_district: District) -> None:
    for who in (WORKER, DESK, TOP, "auditor", "security", "supervisor-kongtong"):
        answer = await put(shared_district, ALL_TO_TOWNSHIP, who=who)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), who


async def test_h6_a_writer_names_what_it_has_seen(shared_district: District) -> None:
    admin = await signed_in(shared_district, "admin")
    without = await admin.put(RULES, json=ALL_TO_TOWNSHIP)
    assert (without.status_code, without.json()["code"]) == (428, "revision-required")
    stale = await put(shared_district, ALL_TO_TOWNSHIP, tag='"old"')
    assert (stale.status_code, stale.json()["code"]) == (412, "revision-stale")


@pytest.mark.parametrize(
    ("rule", "pointer", "code"),
    [
        ({"category": "9901", "level": "village"}, "/rules/1/category", "unknown-code"),
        ({"area_code": "999", "level": "village"}, "/rules/1/area_code", "unknown-code"),
        ({"unit_code": "nobody"}, "/rules/1/unit_code", "unknown-code"),
        ({}, "/rules/1", "one-target"),
        ({"level": "village", "unit_code": LIUHU}, "/rules/1", "one-target"),
        ({"level": "village", "from_time": "08:00"}, "/rules/1", "half-a-window"),
        ({"level": "village", "from_time": "24:00"}, "/rules/1/from_time", None),
    ],
)
async def test_what_nobody_knows_is_refused_with_a_pointer(
    shared_district: District, rule: dict[str, Any], pointer: str, code: str | None
) -> None:
    body = {"rules": [{"name": "一", "level": "village"}, {"name": "二", **rule}]}
    answer = await put(shared_district, body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert code in (None, error["code"])


async def test_rules_never_begin_in_the_past(shared_district: District) -> None:
    past = shared_district.clock.now() - timedelta(minutes=1)
    answer = await put(shared_district, ALL_TO_TOWNSHIP | {"valid_from": past.isoformat()})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/valid_from")


async def test_a_rule_that_can_never_match_is_a_warning(district: District) -> None:
    body = {
        "rules": [
            {"name": "隐患", "category": "02", "level": "township"},
            {"name": "消防", "category": "0201", "unit_code": POLICE_LIUHU},
        ]
    }
    answer = await put(district, body)
    assert answer.status_code == 200
    assert [each["pointer"] for each in answer.json()["warnings"]] == ["/rules/1"]


async def test_a_new_version_counts_from_its_moment_and_the_old_one_is_kept(
    district: District,
) -> None:
    """Every decision names the rule and the version by which it was made."""
    begins = district.clock.now() + timedelta(minutes=5)
    answer = await put(district, ALL_TO_TOWNSHIP | {"valid_from": begins.isoformat()})
    assert (answer.status_code, answer.json()["state"]) == (200, "scheduled")
    before = (await district.report())["id"]
    district.clock.advance(timedelta(minutes=5))
    after = (await district.report())["id"]
    told = [await decision(district, each) for each in (before, after)]
    assert [each.rule_version for each in told] == [1, 2]
    assert [each.trace["version"] for each in told] == [1, 2]
    assert told[1].trace["rule"] == "全部到镇街"
    assert (await look(district, TOWNSHIP, after))["step"]["unit"]["code"] == LIUHU
    admin = await signed_in(district, "admin")
    versions = (await admin.get(f"{RULES}/versions")).json()["items"]
    assert [(each["version"], each["state"]) for each in versions] == [
        (2, "active"),
        (1, "superseded"),
    ]
    old = (await admin.get(RULES, params={"version": 1})).json()
    assert [rule["urgency"] for rule in old["items"]][:2] == ["critical", "urgent"]


async def test_a_draft_routes_nothing_until_it_is_activated_once(district: District) -> None:
    draft = (await put(district, ALL_TO_TOWNSHIP | {"draft": True})).json()
    assert (draft["state"], draft["version"], draft["valid_from"]) == ("draft", 2, None)
    before = (await district.report())["id"]
    admin = await signed_in(district, "admin")
    desk = await signed_in(district, DESK)
    assert (await desk.post(f"{RULES}/versions/2/activate", json={})).status_code == 403
    gone = await admin.post(f"{RULES}/versions/9/activate", json={})
    assert (gone.status_code, gone.json()["code"]) == (404, "rule-set-not-found")
    assert (await admin.post(f"{RULES}/versions/2/activate", json={})).status_code == 200
    again = await admin.post(f"{RULES}/versions/2/activate", json={})
    assert (again.status_code, again.json()["code"]) == (409, "rule-set-not-draft")
    after = (await district.report())["id"]
    assert [(await decision(district, each)).rule_version for each in (before, after)] == [1, 2]


async def test_a_second_writer_learns_of_the_first_even_of_its_draft(district: District) -> None:
    admin = await signed_in(district, "admin")
    tag = (await admin.get(RULES)).headers["etag"]
    assert (await put(district, ALL_TO_TOWNSHIP | {"draft": True}, tag)).status_code == 200
    stale = await put(district, ALL_TO_TOWNSHIP, tag)
    assert stale.status_code == 412
    assert stale.json()["current"]["newest_version"] == 2


async def test_writing_and_activating_stand_in_the_audit_trail(district: District) -> None:
    await put(district, ALL_TO_TOWNSHIP | {"draft": True})
    admin = await signed_in(district, "admin")
    await admin.post(f"{RULES}/versions/2/activate", json={})
    async with district.resources.sessions.read() as session:
        rows = await session.scalars(
            select(AuditEntry.action)
            .where(AuditEntry.object_kind == "routing_rules")
            .order_by(AuditEntry.id)
        )
        assert rows.all() == ["routing_rules.written", "routing_rules.activated"]
