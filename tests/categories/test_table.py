"""The catalogue and the limits from tables: refused rows first; a repeat changes nothing."""

from typing import Any

import httpx
from sqlalchemy import func, select

from app.core.audit import AuditEntry
from tests.district import District

LIMITS = (
    "category_code,urgency,level,stage,minutes,calendar,extension_days_max,"
    "yellow_card_minutes,red_card_minutes\n"
)


async def _send(
    client: httpx.AsyncClient, what: str, table: str, **query: Any
) -> tuple[int, dict[str, Any]]:
    answer = await client.post(
        f"/v1/{what}/import",
        content=table.encode("gbk"),
        headers={"Content-Type": "text/csv"},
        params=query,
    )
    return answer.status_code, answer.json()


async def _trail(district: District) -> int:
    async with district.resources.sessions.read() as session:
        return await session.scalar(select(func.count()).select_from(AuditEntry)) or 0


async def test_refused_categories_refuse_the_whole_table(district: District) -> None:
    admin = await district.client("admin")
    table = (
        "code,name,active,sealed,position\n"
        "0215,电动自行车,,,\n"
        "9901,,,,\n"
        "9x,甲,,,\n"
        "8801,没有上级,,,\n"
        "0301,盗窃,,否,\n"
        "0215,再来一次,,,\n"
    )
    status, told = await _send(admin, "categories", table)
    assert (status, told["code"]) == (422, "import-refused")
    assert [(row["line"], row["code"]) for row in told["rows"]] == [
        (3, "validation-failed"),
        (4, "validation-failed"),
        (5, "category-parent-missing"),
        (6, "category-stays-sealed"),
        (7, "row-repeated"),
    ]
    assert (await admin.get("/v1/categories/0215")).status_code == 404
    desk = await district.client("desk-liuhu")
    assert (await _send(desk, "categories", table))[0] == 403


async def test_categories_are_added_and_changed_by_a_table(district: District) -> None:
    admin = await district.client("admin")
    shown = (await admin.get("/v1/categories/06")).json()
    table = f"code,name,active\n0215,电动自行车,\n06,民生与服务,\n0101,{'婚恋家庭'},否\n"
    status, tried = await _send(admin, "categories", table, dry_run=True)
    assert (status, tried["applied"], tried["added"], tried["changed"]) == (200, False, 1, 2)
    assert (await admin.get("/v1/categories/06")).json() == shown
    assert (await _send(admin, "categories", table))[1]["applied"] is True
    after = (await admin.get("/v1/categories/06")).json()
    # what the table does not say stays as it was
    assert after == shown | {"name": "民生与服务"}
    assert (await admin.get("/v1/categories/0101")).json()["active"] is False
    trail = await _trail(district)
    again = (await _send(admin, "categories", table))[1]
    assert (again["unchanged"], again["added"], again["changed"]) == (3, 0, 0)
    assert await _trail(district) == trail


async def test_limits_are_set_by_a_table(district: District) -> None:
    admin = await district.client("admin")
    bad = LIMITS + (
        "0201,routine,,handle,0,working,,,\n"
        "9999,routine,,handle,60,working,,,\n"
        "0201,routine,,handle,60,working,,90,30\n"
    )
    status, told = await _send(admin, "limits", bad)
    assert (status, told["refused"]) == (422, 3)
    assert [row["code"] for row in told["rows"]] == [
        "validation-failed",
        "category-unknown",
        "row-repeated",
    ]
    table = LIMITS + "0201,routine,township,handle,1260,working,5,,\n,urgent,,sign,30,always,,,\n"
    assert (await _send(admin, "limits", table, dry_run=True))[1]["applied"] is False
    status, done = await _send(admin, "limits", table)
    assert (status, done["added"], done["changed"], done["unchanged"]) == (200, 1, 1, 0)
    limits = (await admin.get("/v1/limits?limit=200")).json()["items"]
    (own,) = [each for each in limits if each["category_code"] == "0201"]
    assert (own["level"], own["minutes"], own["extension_days_max"]) == ("township", 1260, 5)
    trail = await _trail(district)
    assert (await _send(admin, "limits", table))[1]["unchanged"] == 2
    assert await _trail(district) == trail
    stricter = table.replace("1260", "840")
    assert (await _send(admin, "limits", stricter))[1]["changed"] == 1
    limits = (await admin.get("/v1/limits?limit=200")).json()["items"]
    (own,) = [each for each in limits if each["category_code"] == "0201"]
    assert (own["minutes"], own["revision"]) == (840, 2)
