"""Tips of root 03: for everybody but their reporter and the units with a step they do not exist."""

from typing import Any

import httpx
import pytest

from app.accounts.permissions import Role
from tests.district import LIUHU, POLICE_LIUHU, YONGHONG, YONGHONG_GRID, District
from tests.incidents.paths import (
    ACCEPT,
    COMPLETE,
    DESK,
    DISPATCH,
    OUTSIDER,
    POLICE,
    SEALED,
    SIGN,
    TOP,
    TOWNSHIP,
    UP,
    WORKER,
    hire,
    listed,
    look,
    photo,
    signed_in,
    walk,
)

NEIGHBOUR, SECOND_DESK, DOUBLE = "worker-neighbour", "desk-yonghong-2", "police-and-desk"
TEXT: str = SEALED["text"]


@pytest.fixture(scope="module")
async def tip(shared_district: District) -> dict[str, Any]:
    """A sealed tip with a file, in the hands of the village's desk."""
    await hire(
        shared_district, NEIGHBOUR, (Role.GRID_WORKER, YONGHONG), grid_codes=(YONGHONG_GRID,)
    )
    file = listed(photo())
    receipt = await shared_district.report(attachments=[file], **SEALED)
    client = await signed_in(shared_district, WORKER)
    url = f"/v1/incidents/{receipt['id']}/attachments/{file['id']}"
    assert (await client.put(url, content=photo())).status_code == 201
    await shared_district.drain()
    return receipt | {"file": file["id"]}


async def _knows(district: District, who: str, tip: dict[str, Any]) -> set[str]:
    """The doors at which this person learns that the matter exists."""
    client = await signed_in(district, who)
    home = f"/v1/incidents/{tip['id']}"
    body = {"action": "comment", "text": "？"}
    answers = {
        "get": await client.get(home),
        "receipt": await client.get(f"{home}/receipt"),
        "history": await client.get(f"{home}/history"),
        "routing": await client.get(f"{home}/routing"),
        "transitions": await client.post(f"{home}/transitions", json=body),
        "files": await client.put(f"{home}/attachments/{tip['file']}", content=photo()),
    }
    known = {door for door, answer in answers.items() if answer.status_code not in {403, 404}}
    hidden = {"incident-not-found"} | ({"attachment-not-found"} if "get" in known else set())
    for door, answer in answers.items():
        if answer.status_code == 404:
            assert answer.json()["code"] in hidden, door
    filters: tuple[dict[str, Any], ...] = (
        {},
        {"category": "03"},
        {"area": YONGHONG},
        {"q": "撬车"},
        {"state": "submitted"},
        {"unit": YONGHONG},
    )
    for wanted in filters:
        page = await client.get("/v1/incidents", params={"limit": 200, **wanted})
        assert page.status_code == 200
        if tip["id"] in {item["id"] for item in page.json()["items"]}:
            known.add("list")
    inbox = await client.get("/v1/inbox", params={"limit": 200})
    if tip["id"] in {item["incident_id"] for item in inbox.json()["items"]}:
        known.add("inbox")
    return known


@pytest.mark.parametrize("who", [NEIGHBOUR, OUTSIDER, TOWNSHIP, TOP, "supervisor-kongtong", POLICE])
async def test_it_does_not_exist_outside(
    shared_district: District, tip: dict[str, Any], who: str
) -> None:
    assert await _knows(shared_district, who, tip) == set()


@pytest.mark.parametrize("who", ["auditor", "admin", "security"])
async def test_nobody_of_the_three_offices_reads_any_of_it(
    shared_district: District, tip: dict[str, Any], who: str
) -> None:
    client = await signed_in(shared_district, who)
    for path in ("", "/receipt", "/history"):
        assert (await client.get(f"/v1/incidents/{tip['id']}{path}")).status_code == 403
    routing = await client.get(f"/v1/incidents/{tip['id']}/routing")
    assert routing.status_code in {403, 404}
    assert TEXT not in routing.text


async def test_it_is_there_for_its_reporter_and_the_desk_with_its_step(
    shared_district: District, tip: dict[str, Any]
) -> None:
    mine = await _knows(shared_district, WORKER, tip)
    assert mine == {"get", "receipt", "history", "list", "transitions", "files", "inbox"}
    desk = await _knows(shared_district, DESK, tip)
    assert desk == {"get", "receipt", "history", "routing", "list", "transitions", "inbox"}


async def test_centres_above_are_not_informed_of_a_critical_tip(
    shared_district: District,
) -> None:
    receipt = await shared_district.report(urgency="critical", **SEALED)
    tip = receipt | {"file": "01939e6a-0002-7000-8000-000000000001"}
    assert await _knows(shared_district, DESK, tip) == set()
    assert await _knows(shared_district, TOP, tip) == set()
    assert "get" in await _knows(shared_district, TOWNSHIP, tip)


async def test_words_of_a_tip_stay_out_of_inboxes_of_staff(shared_district: District) -> None:
    receipt = await shared_district.report(**SEALED)
    await walk(shared_district, receipt["id"], (WORKER, "comment", {"text": "车牌甘L00000"}))
    desk = await signed_in(shared_district, DESK)
    inbox = (await desk.get("/v1/inbox", params={"limit": 200})).json()["items"]
    told = [item for item in inbox if item["incident_id"] == receipt["id"]]
    assert {item["title"] for item in told} == {"新事件待受理", "有新留言"}
    assert "甘L" not in str(told)
    assert TEXT not in str(told)


async def _actors(client: httpx.AsyncClient, incident: str) -> list[tuple[str, str | None, str]]:
    history = (await client.get(f"/v1/incidents/{incident}/history")).json()["items"]
    return [(e["action"], e["actor"]["id"], e["actor"]["name"]) for e in history]


async def test_handlers_never_learn_who_reported(shared_district: District) -> None:
    raiser = {"name": "李四光", "phone": "13812345678", "informed_at": None}
    incident = (await shared_district.report(raiser=raiser, **SEALED))["id"]
    await walk(
        shared_district, incident, UP, ACCEPT, DISPATCH, (WORKER, "comment", {"text": "补充"}), SIGN
    )
    police = await signed_in(shared_district, POLICE)
    shown = await look(shared_district, POLICE, incident)
    assert (shown["reporter"], shown["raiser"]) == (None, None)
    worker = (await look(shared_district, WORKER, incident))["reporter"]
    history = await _actors(police, incident)
    assert [(id_, name) for action, id_, name in history if action in {"report", "comment"}] == [
        (None, ""),
        (None, ""),
    ]
    assert history[2][2] == "永红村调度员"
    for url in ("", "/history", "/receipt"):
        answer = await police.get(f"/v1/incidents/{incident}{url}")
        assert worker["id"] not in answer.text
        assert worker["name"] not in answer.text
    page = await police.get("/v1/incidents", params={"limit": 200})
    assert worker["id"] not in page.text
    told = await police.get("/v1/inbox", params={"limit": 200})
    assert worker["name"] not in told.text
    # the centre that dispatched knows, and so does who stands above the place
    assert (await look(shared_district, TOWNSHIP, incident))["reporter"] == worker


async def test_a_desk_elsewhere_does_not_open_a_handlers_eyes(
    shared_district: District,
) -> None:
    """Who handles here and dispatches in another township is a handler here."""
    await hire(
        shared_district, DOUBLE, (Role.HANDLER, POLICE_LIUHU), (Role.DISPATCHER, "620802003")
    )
    incident = (await shared_district.report(**SEALED))["id"]
    await walk(shared_district, incident, UP, ACCEPT, DISPATCH)
    assert (await look(shared_district, DOUBLE, incident))["reporter"] is None


async def test_units_that_had_a_step_keep_sight_of_it(shared_district: District) -> None:
    incident = (await shared_district.report(**SEALED))["id"]
    await walk(shared_district, incident, UP)
    assert (await look(shared_district, DESK, incident))["step"]["unit"]["code"] == LIUHU
    assert (await look(shared_district, DESK, incident))["allowed_actions"] == []


async def test_its_parent_centre_sees_it_to_verify_and_not_longer(
    shared_district: District,
) -> None:
    """The village has one dispatcher, who completed it: nobody there could verify."""
    incident = (await shared_district.report(**SEALED))["id"]
    await walk(shared_district, incident, (DESK, "accept", {}), (DESK, "handle_here", {}))
    township = await signed_in(shared_district, TOWNSHIP)
    assert (await township.get(f"/v1/incidents/{incident}")).status_code == 404
    await walk(shared_district, incident, (DESK, "complete", {"outcome": "已劝阻"}))
    told = (await township.get("/v1/inbox", params={"limit": 200})).json()["items"]
    assert [i["title"] for i in told if i["incident_id"] == incident] == ["处置完毕，待核查"]
    offered = (await look(shared_district, TOWNSHIP, incident))["allowed_actions"]
    assert offered[:2] == ["verify_pass", "verify_fail"]
    assert "comment" not in offered
    district = await signed_in(shared_district, TOP)
    assert (await district.get(f"/v1/incidents/{incident}")).status_code == 404
    await walk(shared_district, incident, (TOWNSHIP, "verify_pass", {}))
    assert (await township.get(f"/v1/incidents/{incident}")).status_code == 404


async def test_where_the_village_has_somebody_else_the_parent_is_not_asked(
    shared_district: District,
) -> None:
    await hire(shared_district, SECOND_DESK, (Role.DISPATCHER, YONGHONG))
    incident = (await shared_district.report(**SEALED))["id"]
    await walk(
        shared_district,
        incident,
        (DESK, "accept", {}),
        (DESK, "handle_here", {}),
        (DESK, "complete", {"outcome": "已劝阻"}),
    )
    township = await signed_in(shared_district, TOWNSHIP)
    assert (await township.get(f"/v1/incidents/{incident}")).status_code == 404
    offered = (await look(shared_district, SECOND_DESK, incident))["allowed_actions"]
    assert offered[:3] == ["verify_pass", "verify_fail", "comment"]
    assert "inform" not in offered  # nobody more is told of a sealed matter


async def test_the_outcome_of_a_tip_reaches_its_reporter(shared_district: District) -> None:
    incident = (await shared_district.report(**SEALED))["id"]
    await walk(
        shared_district,
        incident,
        UP,
        ACCEPT,
        DISPATCH,
        SIGN,
        COMPLETE,
        (TOWNSHIP, "verify_pass", {}),
    )
    worker = await signed_in(shared_district, WORKER)
    inbox = (await worker.get("/v1/inbox", params={"limit": 200})).json()["items"]
    told = [item for item in inbox if item["incident_id"] == incident]
    assert told[-1]["title"] == "核查通过，已办结"
    # a screen that lights up tells nothing of the tip: its words are read in the matter
    assert "杂物已清" not in str(told)
    assert "请打开事件查看" in told[-1]["body"]
    assert (await look(shared_district, WORKER, incident))["outcome"] == "杂物已清，通道畅通"
