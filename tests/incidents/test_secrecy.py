"""What a tip says is nowhere in the database but under the tip's own key."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text, update

from app.core.crypto import SealBroken
from app.evidence.queries import whole_history
from app.incidents.chain import first_break
from app.incidents.fingerprints import fingerprint
from app.incidents.models import Incident
from app.incidents.schemas import NewIncident
from app.incidents.secrecy import opened
from app.tables import TABLES
from tests.district import YONGHONG_GRID, District, new_incident
from tests.incidents.paths import (
    ACCEPT,
    DESK,
    DISPATCH,
    POLICE,
    SEALED,
    SIGN,
    TOWNSHIP,
    UP,
    WORKER,
    look,
    say_why,
    signed_in,
    walk,
)

TEXT, ADDRESS, REMARK, REASON, OUTCOME = (
    "墨绿面包车",
    "槐树巷七号",
    "凌晨两点",
    "涉及邻村",
    "人赃并获",
)
WHY = "核对车牌号码"
RAISER = {"name": "钱掌柜", "phone": "13812345678", "informed_at": None}
TIP: dict[str, Any] = SEALED | {"text": TEXT, "raiser": RAISER}


async def _place(district: District, address: str = ADDRESS) -> dict[str, Any]:
    node = (await (await signed_in(district, WORKER)).get(f"/v1/areas/{YONGHONG_GRID}")).json()
    point = {"lon": round(node["lon"], 7), "lat": round(node["lat"], 7), "datum": "wgs84"}
    return point | {"accuracy_m": 5, "address": address}


async def _handled(district: District) -> str:
    """A tip with words of everybody who had to do with it."""
    tip = TIP | {"place": await _place(district)}
    incident: str = (await district.report(**tip))["id"]
    await walk(
        district,
        incident,
        (DESK, UP[1], {"reason": REASON}),
        ACCEPT,
        DISPATCH,
        SIGN,
        (WORKER, "comment", {"text": REMARK}),
        (POLICE, "complete", {"outcome": OUTCOME}),
    )
    return incident


async def _stored(district: District) -> str:
    """Every row of every table, as text."""
    async with district.resources.sessions.read() as session:
        rows = []
        for table in TABLES:
            # names of our own tables, nobody's input
            found = await session.scalars(
                text(f"SELECT to_jsonb(t)::text FROM {table.__tablename__} t")  # noqa: S608
            )
            rows += list(found)
    return "\n".join(rows)


async def test_no_word_and_no_point_of_a_tip_stands_in_the_database(
    district: District,
) -> None:
    place = await _place(district, "公开地址")
    lon = f'"lon": {place["lon"]}'
    before = (await _stored(district)).count(lon)
    await district.report(text="楼道堆物", place=place)
    stored = await _stored(district)
    assert stored.count("楼道堆物") == 2
    assert stored.count("公开地址") == 1
    assert stored.count(lon) == before + 2
    await say_why(district, POLICE, await _handled(district))
    stored = await _stored(district)
    assert stored.count(lon) == before + 2
    for words in (TEXT, ADDRESS, REMARK, REASON, OUTCOME, WHY, RAISER["name"], RAISER["phone"]):
        assert str(words) not in stored, words


async def test_those_who_handle_it_read_all_of_it(district: District) -> None:
    incident = await _handled(district)
    for who in (WORKER, POLICE, TOWNSHIP):
        await say_why(district, who, incident)
        shown = await look(district, who, incident)
        assert (shown["text"], shown["outcome"]) == (TEXT, OUTCOME)
        assert shown["place"]["address"] == ADDRESS
        assert shown["place"]["lon"] == (await _place(district))["lon"]
        client = await signed_in(district, who)
        history = (await client.get(f"/v1/incidents/{incident}/history")).json()["items"]
        words = [entry["text"] or entry["reason"] for entry in history]
        assert [each for each in words if each] == [TEXT, REASON, REMARK, OUTCOME]


async def test_its_history_is_checked_without_a_key(district: District) -> None:
    incident = await _handled(district)
    async with district.resources.sessions.read() as session:
        assert first_break(await whole_history(session, UUID(incident))) is None


async def test_a_key_opens_its_own_matter_only(district: District) -> None:
    """Who can write into the database gains nothing by putting rows together."""
    one, other = [UUID((await district.report(**TIP))["id"]) for _ in range(2)]
    async with district.resources.sessions.begin() as session:
        key = (await session.get_one(Incident, other)).own_key
        await session.execute(update(Incident).where(Incident.id == one).values(own_key=key))
    async with district.resources.sessions.read() as session:
        with pytest.raises(SealBroken):
            opened(district.resources.keys, await session.get_one(Incident, one))
    client = await signed_in(district, WORKER)
    assert (await client.get(f"/v1/incidents/{other}")).status_code == 200


async def test_i4_a_tip_sent_twice_is_one_and_another_text_under_its_id_is_refused(
    district: District,
) -> None:
    """Its fingerprint is kept under a key, so that nobody finds out by trying what it says."""
    client = await signed_in(district, WORKER)
    body = new_incident(**TIP)
    codes = [(await client.post("/v1/incidents", json=body)).status_code for _ in range(2)]
    assert codes == [201, 200]
    assert fingerprint(NewIncident.model_validate(body)).hex() not in await _stored(district)
    other = await client.post("/v1/incidents", json=body | {"text": "别的"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


async def test_a_search_finds_nothing_in_what_is_sealed(district: District) -> None:
    """Neither its words nor the letters it is sealed in."""
    await district.report(**TIP)
    client = await signed_in(district, WORKER)
    for words in (TEXT, "v1", "A"):
        answer = await client.get("/v1/incidents", params={"q": words})
        assert answer.json()["items"] == [], words
