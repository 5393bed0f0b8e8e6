"""Routing as the relay does it: every report gets its unit once, and it is written down why."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.accounts.permissions import Role
from app.core.db import new_id
from app.core.events import OutboxRow, Recorded, parse
from app.core.relay import Tick
from app.incidents.events import IncidentReported
from app.incidents.models import Incident
from app.routing.models import Decision, RoutingRule, RuleSet
from app.routing.reactions import route_to_unit
from tests.district import (
    KONGTONG,
    LIUHU,
    POLICE_LIUHU,
    YONGHONG,
    YONGHONG_GRID,
    District,
    new_incident,
)
from tests.incidents.paths import (
    DESK,
    OUTSIDER,
    POLICE,
    TOP,
    TOWNSHIP,
    WORKER,
    found_unit,
    hire,
    look,
    rows_of,
    signed_in,
    walk,
)


async def _unrouted(district: District, **changes: Any) -> str:
    client = await signed_in(district, WORKER)
    answer = await client.post("/v1/incidents", json=new_incident(**changes))
    assert answer.status_code == 201
    incident: str = answer.json()["id"]
    return incident


async def _told(district: District, who: str, incident: str) -> list[str]:
    client = await signed_in(district, who)
    items = (await client.get("/v1/inbox", params={"limit": 200})).json()["items"]
    return [item["title"] for item in items if item["incident_id"] == incident]


async def _decision(district: District, incident: str) -> Decision | None:
    async with district.resources.sessions.read() as session:
        return await session.get(Decision, UUID(incident))


async def test_the_trace_is_for_those_who_see_the_matter(shared_district: District) -> None:
    incident = (await shared_district.report())["id"]
    for who, status in ((OUTSIDER, 403), (WORKER, 403), (POLICE, 403), (DESK, 200)):
        client = await signed_in(shared_district, who)
        answer = await client.get(f"/v1/incidents/{incident}/routing")
        assert answer.status_code == status, who
    elsewhere = await hire(shared_district, "desk-minxin", (Role.DISPATCHER, "620802003007"))
    assert elsewhere
    client = await signed_in(shared_district, "desk-minxin")
    answer = await client.get(f"/v1/incidents/{incident}/routing")
    assert (answer.status_code, answer.json()["code"]) == (404, "incident-not-found")


async def test_before_it_is_routed_there_is_no_trace(shared_district: District) -> None:
    incident = await _unrouted(shared_district)
    client = await signed_in(shared_district, DESK)
    answer = await client.get(f"/v1/incidents/{incident}/routing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-routed-yet")


async def test_a_withdrawn_matter_is_not_routed(shared_district: District) -> None:
    incident = await _unrouted(shared_district)
    client = await signed_in(shared_district, WORKER)
    answer = await client.post(
        f"/v1/incidents/{incident}/transitions", json={"action": "withdraw", "revision": 1}
    )
    assert answer.status_code == 200
    await shared_district.drain()
    rows = await rows_of(shared_district, incident)
    assert (rows.incident.state, rows.steps) == ("voided", [])
    assert await _decision(shared_district, incident) is None


async def test_the_reaction_run_twice_changes_nothing(shared_district: District) -> None:
    incident = (await shared_district.report())["id"]
    before = await rows_of(shared_district, incident)
    reported = before.events[0]
    event = parse(reported.name, reported.payload)
    assert isinstance(event, IncidentReported)
    again = [Recorded(reported.id, reported.occurred_at, event)]
    tick = Tick(shared_district.clock.now(), shared_district.resources)
    async with shared_district.resources.sessions.begin() as session:
        await route_to_unit(session, again, tick)
    after = await rows_of(shared_district, incident)
    assert len(after.steps) == 1
    assert after.incident.revision == before.incident.revision == 2
    assert [event.id for event in after.events] == [event.id for event in before.events]


async def test_r4_every_report_has_exactly_one_unit_when_the_relay_has_passed(
    shared_district: District,
) -> None:
    """A batch of many, of every urgency and root, each with one decision and one step."""
    made = [
        await _unrouted(shared_district, urgency=urgency, category=category)
        for urgency in ("routine", "urgent", "critical", "complex")
        for category in ("0101", "0201", "0301")
    ]
    await shared_district.drain()
    async with shared_district.resources.sessions.read() as session:
        rows = (
            await session.execute(
                select(Incident.id, Incident.owner_unit_id, Decision.unit_id)
                .join(Decision, Decision.incident_id == Incident.id)
                .where(Incident.id.in_([UUID(id_) for id_ in made]))
            )
        ).all()
    assert len(rows) == len(made)
    assert all(row.owner_unit_id == row.unit_id for row in rows)
    for incident in made:
        assert len((await rows_of(shared_district, incident)).current) == 1


@pytest.mark.parametrize(
    ("urgency", "unit", "informed"),
    [
        ("routine", YONGHONG, {}),
        ("complex", YONGHONG, {}),
        ("urgent", LIUHU, {DESK: "紧急事件知会"}),
        ("critical", LIUHU, {DESK: "紧急事件知会", TOP: "紧急事件知会"}),
    ],
)
async def test_the_seed_rules_send_each_urgency_to_its_level(
    shared_district: District, urgency: str, unit: str, informed: dict[str, str]
) -> None:
    incident = (await shared_district.report(urgency=urgency))["id"]
    owner = DESK if unit == YONGHONG else TOWNSHIP
    shown = await look(shared_district, owner, incident)
    assert (shown["step"]["unit"]["code"], shown["owner"]["code"]) == (unit, unit)
    for who in (DESK, TOWNSHIP, TOP):
        expected = "新事件待受理" if who == owner else informed.get(who)
        assert await _told(shared_district, who, incident) == ([expected] if expected else [])
    client = await signed_in(shared_district, owner)
    trace = (await client.get(f"/v1/incidents/{incident}/routing")).json()
    assert trace["rule_version"] == 1
    assert trace["trace"]["tried"][-1] | {"name": ""} == {
        "unit": unit,
        "name": "",
        "why": "rule",
        "taken": True,
    }


async def test_an_uncertain_place_keeps_its_candidates_in_the_trace(
    shared_district: District,
) -> None:
    grid = YONGHONG_GRID
    client = await signed_in(shared_district, WORKER)
    node = (await client.get(f"/v1/areas/{grid}")).json()
    place = {"lon": node["lon"], "lat": node["lat"], "accuracy_m": 150}
    incident = (await shared_district.report(place=place))["id"]
    shown = await look(shared_district, WORKER, incident)
    assert shown["place"]["grid_uncertain"] is True
    decision = await _decision(shared_district, incident)
    assert decision is not None
    candidates = decision.trace["grid_candidates"]
    assert candidates[0] == {"code": shown["grid_code"], "distance_m": 0.0}


async def test_without_staff_in_the_village_its_township_has_it(district: District) -> None:
    incident = await _unrouted(district)
    async with district.resources.sessions.begin() as session:
        (await found_unit(session, YONGHONG)).active = False
    await district.drain()
    shown = await look(district, TOWNSHIP, incident)
    assert shown["step"]["unit"]["code"] == LIUHU
    decision = await _decision(district, incident)
    assert decision is not None
    assert [item["why"] for item in decision.trace["tried"]][-1] == "fallback"


async def test_a_rule_that_names_a_department_dispatches_to_it_under_its_centre(
    district: District,
) -> None:
    """And what it refuses comes back to that centre."""
    await _replace_rules(district, {"name": "消防直派", "category": "0201", "unit": POLICE_LIUHU})
    incident = (await district.report())["id"]
    shown = await look(district, POLICE, incident)
    assert (shown["state"], shown["step"]["unit"]["code"]) == ("dispatched", POLICE_LIUHU)
    assert shown["allowed_actions"][:3] == ["sign", "refuse", "comment"]
    assert await _told(district, POLICE, incident) == ["新事件待受理"]
    shown = await walk(district, incident, (POLICE, "refuse", {"reason": "不在辖区"}))
    assert (shown["state"], shown["step"]["unit"]["code"]) == ("accepted", LIUHU)
    assert "dispatch" in (await look(district, TOWNSHIP, incident))["allowed_actions"]


async def test_the_newest_version_of_the_rules_counts_in_local_time(district: District) -> None:
    """Noon in Shanghai is four in the morning in UTC."""
    await _replace_rules(
        district,
        {"name": "夜间", "from": "22:00", "until": "06:00", "level": "district"},
        {"name": "白天", "from": "06:00", "until": "22:00", "level": "township"},
    )
    noon = district.clock.now()
    for hour, unit in ((4, LIUHU), (15, KONGTONG), (21, KONGTONG), (23, LIUHU)):
        district.clock.set(noon.replace(hour=hour, minute=30))
        incident = (await district.report())["id"]
        async with district.resources.sessions.read() as session:
            owner = (await session.get_one(Incident, UUID(incident))).owner_unit_id
            # 15:30 UTC is 23:30 in Shanghai, 21:30 is 05:30, 23:30 is 07:30
            assert owner == (await found_unit(session, unit)).id, hour
        decision = await _decision(district, incident)
        assert decision is not None
        assert decision.rule_version == 2


async def _replace_rules(district: District, *rules: dict[str, Any]) -> None:
    async with district.resources.sessions.begin() as session:
        at = district.clock.now()
        session.add(RuleSet(version=2, valid_from=at, created_at=at))
        await session.flush()
        session.add_all(
            RoutingRule(
                id=new_id(),
                version=2,
                position=position,
                name=rule["name"],
                category=rule.get("category"),
                from_time=rule.get("from"),
                until_time=rule.get("until"),
                level=rule.get("level"),
                unit_code=rule.get("unit"),
                inform=[],
                created_at=district.clock.now(),
            )
            for position, rule in enumerate(rules)
        )


async def test_rules_are_listed_in_their_order(shared_district: District) -> None:
    client = await signed_in(shared_district, DESK)
    rules = (await client.get("/v1/routing/rules")).json()["items"]
    assert [(rule["urgency"], rule["level"], rule["inform"]) for rule in rules] == [
        ("critical", "township", ["village", "district"]),
        ("urgent", "township", ["village"]),
        ("routine", "village", []),
        ("complex", "village", []),
    ]
    worker = await signed_in(shared_district, WORKER)
    assert (await worker.get("/v1/routing/rules")).status_code == 403


async def test_no_event_of_routing_is_left_unprocessed(shared_district: District) -> None:
    await shared_district.drain()
    async with shared_district.resources.sessions.read() as session:
        waiting = await session.scalars(
            select(OutboxRow.id).where(OutboxRow.processed_at.is_(None))
        )
        assert list(waiting) == []
