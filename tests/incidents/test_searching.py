"""Search: two-character words, several of them, numbers, addresses; what is sealed is not found."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.incidents.searching import terms_of
from tests.district import District

DISPUTE = "张家与李家因宅基地矛盾纠纷，需要调解"


async def _found(district: District, username: str, q: str) -> list[str]:
    client = await district.client(username)
    answer = await client.get("/v1/incidents", params={"q": q})
    assert answer.status_code == 200, answer.text
    counted = (await client.get("/v1/incidents/count", params={"q": q})).json()
    ids = [item["id"] for item in answer.json()["items"]]
    assert counted["count"] == len(ids)
    return ids


async def test_words_of_two_characters_are_found(district: District) -> None:
    place = {"grid_code": "620802105202001", "address": "解放路12号ＡＢ座"}
    receipt = await district.report(text=DISPUTE, place=place)
    await district.report(text="路灯不亮")
    matter, number = receipt["id"], receipt["number"]
    day, serial = number.split("-")[1:]
    for q in (
        "纠纷", "矛盾纠纷", "纠纷 调解", "宅基地", "地", "解放路", "12", "ab", "AB 纠纷",
        "，纠纷。", number, f"{day}-{serial}",
    ):  # fmt: skip
        assert matter in await _found(district, "desk-liuhu", q), q
    for q in ("纠葛", "纷调", "纠纷 路灯", "矛盾调解", "1", "，", "%", "_", "'"):
        assert await _found(district, "desk-liuhu", q) == [], q


async def test_pairs_that_stand_apart_are_no_phrase(district: District) -> None:
    """消防 and 防通 both stand here, 消防通 does not."""
    await district.report(text="消防车来过，防通过的栏杆")
    assert await _found(district, "desk-liuhu", "消防通") == []


async def test_sealed_matters_are_in_no_index_and_in_nobodys_hits(district: District) -> None:
    sealed = await district.report(category="0301", text="盗窃线索：夜间撬锁")
    for username in ("worker-yonghong", "desk-liuhu", "desk-kongtong", "supervisor-kongtong"):
        assert await _found(district, username, "撬锁") == []
        assert await _found(district, username, sealed["number"]) == []
    async with district.resources.sessions.read() as session:
        words = text("SELECT count(*) FROM incident_words WHERE incident_id = :id")
        assert await session.scalar(words, {"id": sealed["id"]}) == 0


async def test_what_is_sealed_later_leaves_the_index(district: District) -> None:
    matter = (await district.report(text=DISPUTE))["id"]
    assert await _found(district, "desk-liuhu", "纠纷") == [matter]
    async with district.resources.sessions.begin() as session:
        await session.execute(
            text("UPDATE incidents SET sealed = true WHERE id = :id"), {"id": matter}
        )
        count = await session.scalar(text("SELECT count(*) FROM incident_words"))
    assert count == 0
    assert await _found(district, "desk-liuhu", "纠纷") == []


async def test_outside_the_scope_nothing_is_found(district: District) -> None:
    await district.report(text=DISPUTE)
    for outsider in ("worker-minxin", "police-liuhu"):
        assert await _found(district, outsider, "纠纷") == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("纠纷调解Ab1２，。 -é"), min_size=1, max_size=12))
async def test_database_and_program_cut_texts_in_the_same_way(
    session: AsyncSession, whole: str
) -> None:
    words = await session.scalar(text("SELECT words_of(:whole)"), {"whole": whole})
    kept = set(words or [])
    assert set(terms_of(whole)) <= kept
    assert bool(terms_of(whole)) == bool(kept)


@pytest.mark.parametrize("q", ["", "x" * 101])
async def test_a_question_is_between_one_and_a_hundred_characters(
    district: District, q: str
) -> None:
    client = await district.client("desk-liuhu")
    assert (await client.get("/v1/incidents", params={"q": q})).status_code == 422
