"""Lists: what each filter keeps, how pages are sorted, what is counted, what waits at a desk."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.accounts.models import Person, RoleHolding, Unit
from app.incidents.queues import QUEUES
from app.incidents.sorting import ORDERS
from tests.district import LIUHU, POLICE_LIUHU, YONGHONG, YONGHONG_GRID, District

Json = dict[str, Any]
WORKER, VILLAGE, TOWN, POLICE = "worker-yonghong", "desk-yonghong", "desk-liuhu", "police-liuhu"


async def _ids(client: httpx.AsyncClient, **wanted: Any) -> list[str]:
    answer = await client.get("/v1/incidents", params=wanted)
    assert answer.status_code == 200, answer.text
    count = await client.get("/v1/incidents/count", params={**wanted} | {"sort": None})
    ids = [item["id"] for item in answer.json()["items"]]
    if "sort" not in wanted and "limit" not in wanted:
        told = (await client.get("/v1/incidents/count", params=wanted)).json()
        assert told == {"count": len(ids), "more": False}
    assert count.status_code in {200, 422}
    return ids


async def _id(district: District, username: str = WORKER, **changes: Any) -> str:
    district.clock.advance(timedelta(seconds=1))
    return str((await district.report(username, **changes))["id"])


async def test_every_filter_keeps_what_it_names(district: District) -> None:
    stairs = await _id(district)
    noise = await _id(district, category="0102", urgency="urgent", text="邻里纠纷")
    other = await _id(district, "worker-minxin", place={"grid_code": "620802003007001"})
    desk = await district.client("desk-kongtong")
    assert await _ids(desk) == [other, noise, stairs]
    for wanted, found in (
        ({"category": "0102"}, [noise]),
        ({"category": "01"}, [noise]),
        ({"category": "nothing"}, []),
        ({"urgency": "urgent"}, [noise]),
        ({"area": LIUHU}, [noise, stairs]),
        ({"area": YONGHONG}, [noise, stairs]),
        ({"area": YONGHONG_GRID}, [noise, stairs]),
        ({"area": "nowhere"}, []),
        ({"unit": LIUHU}, [noise]),
        ({"unit": YONGHONG}, [stairs]),
        ({"state": "submitted"}, [other, noise, stairs]),
        ({"state": "closed,voided"}, []),
        ({"mine": True}, []),
        ({"supervision": "normal"}, [other, noise, stairs]),
        ({"supervision": "red"}, []),
        ({"category": "0102", "area": LIUHU, "state": "submitted"}, [noise]),
    ):
        assert await _ids(desk, **wanted) == found, wanted
    since = (await desk.get(f"/v1/incidents/{noise}")).json()["received_at"]
    assert await _ids(desk, since=since) == [other, noise]
    assert await _ids(desk, until=since) == [stairs]
    worker = await district.client(WORKER)
    # theirs by their grid and as its reporter: seen in two ways, counted once
    assert await _ids(worker) == await _ids(worker, mine=True) == [noise, stairs]


async def test_overdue_and_due_at(district: District) -> None:
    late = await _id(district, urgency="urgent")
    calm = await _id(district)
    district.clock.advance(timedelta(hours=2))
    desk = await district.client(TOWN)
    assert await _ids(desk, overdue=True) == [late]
    assert await _ids(desk, sort="due_at") == [late, calm]
    assert (await district.act(VILLAGE, calm, "reject", reason="不属实")).status_code == 200
    assert await _ids(desk, sort="due_at") == [late]
    assert await _ids(desk) == [calm, late]


@pytest.mark.parametrize("sort", ["-received_at", "received_at", "due_at", "-urgency"])
async def test_h5_pages_of_every_order_meet_each_once(district: District, sort: str) -> None:
    urgencies = ("routine", "critical", "complex", "urgent", "routine", "critical", "routine")
    ids = [await _id(district, urgency=urgency) for urgency in urgencies]
    desk = await district.client("desk-kongtong")
    whole = await _ids(desk, sort=sort)
    assert sorted(whole) == sorted(ids)
    seen: list[str] = []
    params: Json = {"sort": sort, "limit": 2}
    while True:
        page = (await desk.get("/v1/incidents", params=params)).json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    assert seen == whole
    if sort == "-urgency":
        ranks = [urgencies[ids.index(each)] for each in seen]
        assert ranks == ["critical"] * 2 + ["urgent", "complex"] + ["routine"] * 3
        assert seen[:2] == [ids[5], ids[1]]


async def test_near_counts_metres_in_the_datum_asked(district: District) -> None:
    point = {"lon": 106.6812, "lat": 35.5398}
    here = await _id(district, place={**point, "datum": "gcj02", "accuracy_m": 5})
    desk = await district.client("desk-kongtong")
    near = f"{point['lon']},{point['lat']}"
    assert await _ids(desk, near=f"{near},30", datum="gcj02") == [here]
    # the two datums lie some four hundred metres apart here
    assert await _ids(desk, near=f"{near},300", datum="wgs84") == []
    assert await _ids(desk, near=f"{near},600", datum="wgs84") == [here]
    # inside the square around it, outside the circle
    assert await _ids(desk, near="106.68424,35.54229,300", datum="gcj02") == []


async def test_queues_hold_what_waits_for_the_own_desk(district: District) -> None:
    async def queues(username: str) -> Json:
        client = await district.client(username)
        items = (await client.get("/v1/incidents/queues")).json()["items"]
        assert [item["queue"] for item in items] == list(QUEUES)
        for item in items:
            ids = await _ids(client, queue=item["queue"])
            assert (len(ids), item["more"]) == (item["count"], False)
        return {item["queue"]: item["count"] for item in items if item["count"]}

    matter = await _id(district, urgency="urgent")
    assert await queues(TOWN) == {"accept": 1}
    assert await queues(VILLAGE) == await queues(POLICE) == await queues(WORKER) == {}
    assert await queues("supervisor-kongtong") == {}
    steps: tuple[tuple[str, str, Json, Json, Json], ...] = (
        (TOWN, "accept", {}, {"dispatch": 1}, {}),
        (TOWN, "dispatch", {"to_unit": POLICE_LIUHU}, {}, {"sign": 1}),
        (POLICE, "sign", {}, {}, {"handle": 1}),
        (POLICE, "complete", {"outcome": "已调解"}, {"verify": 1}, {}),
        (TOWN, "verify_pass", {}, {}, {}),
    )
    for who, action, fields, town, police in steps:
        assert (await district.act(who, matter, action, **fields)).status_code == 200, action
        assert (await queues(TOWN), await queues(POLICE)) == (town, police), action


async def test_without_a_desk_every_queue_is_empty_in_every_order(district: District) -> None:
    await _id(district)
    supervisor = await district.client("supervisor-kongtong")
    for queue in QUEUES:
        for sort in ORDERS:
            assert await _ids(supervisor, queue=queue, sort=sort) == []


async def test_who_has_desks_in_two_units_may_ask_everything_in_every_order(
    district: District,
) -> None:
    """Filters, sights and orders all read steps: none of them may take another one's."""
    async with district.resources.sessions.begin() as session:
        for username, role, unit in (
            (POLICE, "dispatcher", "620802003"),
            (POLICE, "handler", YONGHONG),
            ("desk-kongtong", "handler", POLICE_LIUHU),
        ):
            person = await session.scalar(select(Person.id).where(Person.username == username))
            held = select(Unit.id).where(Unit.code == unit)
            unit_id = await session.scalar(held)
            session.add(RoleHolding(person_id=person, unit_id=unit_id, role=role))
    matter = await _id(district, urgency="urgent")
    assert (await district.act(TOWN, matter, "accept")).status_code == 200
    moved = await district.act(TOWN, matter, "dispatch", to_unit=POLICE_LIUHU)
    assert moved.status_code == 200
    district.clock.advance(timedelta(days=1))
    for username in (POLICE, "desk-kongtong"):
        client = await district.client(username)
        for wanted in (
            {},
            {"overdue": True},
            {"overdue": True, "supervision": "normal", "queue": "overdue"},
            {"queue": "sign"},
            {"q": "楼道"},
        ):
            for sort in ORDERS:
                assert await _ids(client, **wanted, sort=sort) == [matter], (username, wanted, sort)
            assert await _ids(client, **wanted) == [matter]


async def test_what_is_late_waits_in_overdue_too(district: District) -> None:
    matter = await _id(district, urgency="critical")
    district.clock.advance(timedelta(minutes=20))
    desk = await district.client(TOWN)
    waiting = {}
    for username in (TOWN, VILLAGE, "desk-kongtong"):
        client = await district.client(username)
        waiting[username] = await _ids(client, queue="overdue")
    assert waiting[TOWN] == [matter]
    assert waiting[VILLAGE] == waiting["desk-kongtong"] == []
    assert (await desk.get("/v1/incidents", params={"queue": "lunch"})).status_code == 422
