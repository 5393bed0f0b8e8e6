"""A sealed matter is read with a reason, by those who have to know, and it stays known who did."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.accounts.permissions import Role
from app.core.audit import AuditEntry
from app.incidents.openings import OPEN_FOR
from tests.district import POLICE_LIUHU, YONGHONG, YONGHONG_GRID, District
from tests.incidents.paths import (
    ACCEPT,
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
    person_id,
    photo,
    signed_in,
    walk,
)

WHY = "核实线索，安排布控"
RAISER = {"name": "李四光", "phone": "13812345678", "informed_at": None}
PARTY = {"role": "当事人", "name": "王五常", "phone": "13987654321"}
SECOND, NEIGHBOUR, FAR_DESK = "police-liuhu-2", "worker-next-door", "desk-elsewhere"


async def _asked(district: District, who: str, path: str, **body: Any) -> httpx.Response:
    return await (await signed_in(district, who)).post(f"/v1/incidents/{path}", json=body)


async def _opened(district: District, who: str, incident: str) -> httpx.Response:
    return await _asked(district, who, f"{incident}/openings", reason=WHY)


async def _tip(district: District, **changes: Any) -> str:
    """With the police, who have signed for it."""
    incident: str = (await district.report(**SEALED | changes))["id"]
    await walk(district, incident, UP, ACCEPT, DISPATCH, SIGN)
    return incident


async def _history(district: District, who: str, incident: str) -> list[str]:
    client = await signed_in(district, who)
    items = (await client.get(f"/v1/incidents/{incident}/history")).json()["items"]
    return [words for entry in items for words in (entry["text"], entry["reason"]) if words]


# --- a reason -------------------------------------------------------------------------------------


async def test_nobody_opens_what_does_not_exist_for_them(shared_district: District) -> None:
    incident = await _tip(shared_district)
    for who in (OUTSIDER, TOP):
        answer = await _opened(shared_district, who, incident)
        assert (answer.status_code, answer.json()["code"]) == (404, "incident-not-found"), who
    for who in ("auditor", "admin", "security"):
        assert (await _opened(shared_district, who, incident)).status_code == 403, who
    unsaid = await _asked(shared_district, POLICE, f"{incident}/openings", reason=" ")
    assert unsaid.status_code == 422
    other = (await shared_district.report())["id"]
    answer = await _opened(shared_district, DESK, other)
    assert (answer.status_code, answer.json()["code"]) == (409, "not-sealed")


async def test_without_a_reason_nothing_of_what_it_says_is_shown(
    shared_district: District,
) -> None:
    file = listed(photo())
    place = SEALED["place"] | {"address": "槐树巷七号"}
    incident = await _tip(shared_district, attachments=[file], place=place)
    worker = await signed_in(shared_district, WORKER)
    url = f"/v1/incidents/{incident}/attachments/{file['id']}"
    assert (await worker.put(url, content=photo())).status_code == 201
    for who in (POLICE, TOWNSHIP, DESK):
        shown = await look(shared_district, who, incident)
        assert (shown["sealed"], shown["withheld"], shown["text"]) == (True, True, "")
        assert shown["place"]["address"] is None
        assert shown["attachments"][0]["url"] is None
        assert await _history(shared_district, who, incident) == []
        page = await (await signed_in(shared_district, who)).get("/v1/incidents?category=03")
        assert SEALED["text"] not in page.text
    custody = await (await signed_in(shared_district, TOWNSHIP)).get(f"{url}/custody")
    assert custody.status_code == 403
    mine = await look(shared_district, WORKER, incident)
    assert (mine["withheld"], mine["text"]) == (False, SEALED["text"])
    assert mine["attachments"][0]["url"] is not None


async def test_with_a_reason_it_is_shown_for_half_an_hour(shared_district: District) -> None:
    incident = await _tip(shared_district)
    answer = await _opened(shared_district, POLICE, incident)
    assert answer.status_code == 201
    shown = await look(shared_district, POLICE, incident)
    assert (shown["withheld"], shown["text"]) == (False, SEALED["text"])
    assert SEALED["text"] in await _history(shared_district, POLICE, incident)
    # it is the person who has said why, not the unit
    assert (await look(shared_district, TOWNSHIP, incident))["withheld"] is True
    shared_district.clock.advance(OPEN_FOR - timedelta(minutes=1))
    assert (await look(shared_district, POLICE, incident))["withheld"] is False
    shared_district.clock.advance(timedelta(minutes=2))
    assert (await look(shared_district, POLICE, incident))["withheld"] is True


async def test_who_read_it_and_why_is_shown_to_those_responsible(
    shared_district: District,
) -> None:
    incident = await _tip(shared_district)
    await _opened(shared_district, POLICE, incident)
    client = await signed_in(shared_district, TOWNSHIP)
    (opening,) = (await client.get(f"/v1/incidents/{incident}/openings")).json()["items"]
    assert (opening["kind"], opening["reason"]) == ("content", WHY)
    assert opening["person"]["name"] == "柳湖派出所民警"
    for who in (POLICE, WORKER):
        other = await signed_in(shared_district, who)
        assert (await other.get(f"/v1/incidents/{incident}/openings")).status_code == 403, who
    async with shared_district.resources.sessions.read() as session:
        noted = await session.scalars(
            select(AuditEntry.action).where(
                AuditEntry.object_kind == "incident", AuditEntry.object_id == incident
            )
        )
        assert "incident.opened_content" in noted.all()


# --- need to know ---------------------------------------------------------------------------------


async def test_only_handlers_on_the_list_know_of_it(district: District) -> None:
    await hire(district, SECOND, (Role.HANDLER, POLICE_LIUHU))
    incident = await _tip(district)
    police = await signed_in(district, POLICE)
    me = str(await person_id(district, POLICE))
    newcomer = await signed_in(district, SECOND)
    url = f"/v1/incidents/{incident}"
    assert (await newcomer.get(url)).status_code == 200
    refused = await _asked(district, POLICE, f"{incident}/clearances", people=[me])
    assert refused.status_code == 403
    stranger = str(await person_id(district, WORKER))
    answer = await _asked(district, TOWNSHIP, f"{incident}/clearances", people=[me, stranger])
    assert (answer.status_code, answer.json()["code"]) == (422, "person-not-eligible")

    answer = await _asked(district, TOWNSHIP, f"{incident}/clearances", people=[me])
    assert [each["person_id"] for each in answer.json()["items"]] == [me]
    assert (await newcomer.get(url)).status_code == 404
    assert incident not in (await newcomer.get("/v1/incidents")).text
    assert (await _opened(district, SECOND, incident)).status_code == 404
    assert (await police.get(url)).status_code == 200
    assert (await look(district, TOWNSHIP, incident))["withheld"] is True

    await _asked(district, TOWNSHIP, f"{incident}/clearances", people=[])
    assert (await newcomer.get(url)).status_code == 200


async def test_who_is_not_on_the_list_is_not_told_either(district: District) -> None:
    await hire(district, SECOND, (Role.HANDLER, POLICE_LIUHU))
    incident = await _tip(district)
    listed_one = str(await person_id(district, POLICE))
    await _asked(district, TOWNSHIP, f"{incident}/clearances", people=[listed_one])
    before = await _told(district, SECOND, incident)
    await walk(district, incident, (WORKER, "comment", {"text": "又来了"}))
    assert await _told(district, SECOND, incident) == before
    assert "有新留言" in await _told(district, POLICE, incident)


async def _told(district: District, who: str, incident: str) -> list[str]:
    client = await signed_in(district, who)
    items = (await client.get("/v1/inbox?limit=200")).json()["items"]
    return [item["title"] for item in items if item["incident_id"] == incident]


# --- break-glass ----------------------------------------------------------------------------------


async def test_the_glass_is_broken_from_above_only_and_everybody_responsible_hears_of_it(
    district: District,
) -> None:
    incident = await _tip(district)
    number = (await look(district, WORKER, incident))["number"]
    await hire(district, FAR_DESK, (Role.DISPATCHER, "620802003"))
    path = "break-glass"
    far = await _asked(district, FAR_DESK, path, number=number, reason=WHY)
    assert (far.status_code, far.json()["code"]) == (404, "incident-not-found")
    for who in (WORKER, POLICE, "admin"):
        assert (await _asked(district, who, path, number=number, reason=WHY)).status_code == 403
    open_number = (await district.report())["number"]
    other = await _asked(district, TOP, path, number=open_number, reason=WHY)
    assert other.status_code == 404

    top = await signed_in(district, TOP)
    assert (await top.get(f"/v1/incidents/{incident}")).status_code == 404
    answer = await _asked(district, TOP, path, number=number, reason=WHY)
    assert (answer.status_code, answer.json()["kind"]) == (201, "glass")
    assert (await look(district, TOP, incident))["text"] == SEALED["text"]
    await district.drain()
    assert "密件被应急查阅" in await _told(district, POLICE, incident)
    client = await signed_in(district, TOWNSHIP)
    (opening,) = (await client.get(f"/v1/incidents/{incident}/openings")).json()["items"]
    assert (opening["kind"], opening["reason"]) == ("glass", WHY)


# --- people ---------------------------------------------------------------------------------------


async def test_people_are_masked_until_somebody_who_works_on_it_says_why(
    shared_district: District,
) -> None:
    incident = (await shared_district.report(raiser=RAISER, parties=[PARTY]))["id"]
    await walk(shared_district, incident, UP, ACCEPT, DISPATCH, SIGN)
    shown = await look(shared_district, POLICE, incident)
    assert shown["parties"][0]["name"] == "王*"
    assert PARTY["phone"] not in str(shown)
    path = f"{incident}/people"
    await hire(
        shared_district, NEIGHBOUR, (Role.GRID_WORKER, YONGHONG), grid_codes=(YONGHONG_GRID,)
    )
    beside = await _asked(shared_district, NEIGHBOUR, path, reason=WHY)
    assert (beside.status_code, beside.json()["code"]) == (403, "action-forbidden")
    assert (await _asked(shared_district, OUTSIDER, path, reason=WHY)).status_code == 404
    assert (await _asked(shared_district, POLICE, path)).status_code == 422

    answer = await _asked(shared_district, POLICE, path, reason=WHY)
    assert answer.json() == {
        "raiser": {"role": None, "name": RAISER["name"], "phone": RAISER["phone"]},
        "parties": [PARTY],
    }
    client = await signed_in(shared_district, TOWNSHIP)
    (opening,) = (await client.get(f"/v1/incidents/{incident}/openings")).json()["items"]
    assert (opening["kind"], opening["reason"]) == ("people", WHY)


@pytest.mark.parametrize("who", [POLICE])
async def test_of_a_tip_its_handlers_never_learn_who_raised_it(
    shared_district: District, who: str
) -> None:
    incident = await _tip(shared_district, raiser=RAISER, parties=[PARTY])
    answer = await _asked(shared_district, who, f"{incident}/people", reason=WHY)
    assert (answer.json()["raiser"], answer.json()["parties"]) == (None, [PARTY])
    assert (await look(shared_district, who, incident))["withheld"] is True
