"""Units from a table: refused rows first, then what is founded and changed, and that it is kept."""

import io
from typing import Any

import httpx
import pytest
from openpyxl import Workbook  # type: ignore[import-untyped]  # it ships no types
from sqlalchemy import func, select

from app.accounts.models import Unit
from app.core.audit import AuditEntry
from app.core.sheets import MOST_BYTES, MOST_ROWS, SHEETS
from tests.district import LIUHU, POLICE_LIUHU, District
from tests.make import PASSWORD

Json = dict[str, Any]
CSV, XLSX = SHEETS
HEAD = "code,name,level,kind,area_code,parent,head,active\n"
POST = f"{LIUHU}-post,柳湖警务室,township,department,{LIUHU},{LIUHU},police-liuhu,\n"


async def _send(
    client: httpx.AsyncClient, content: bytes | str, kind: str = CSV, **query: Any
) -> httpx.Response:
    headers = {"Content-Type": kind}
    return await client.post("/v1/units/import", content=content, headers=headers, params=query)


async def _units(district: District) -> dict[str, tuple[str, int, bool]]:
    async with district.resources.sessions.read() as session:
        rows = await session.execute(select(Unit.code, Unit.name, Unit.revision, Unit.active))
        return {row.code: (row.name, row.revision, row.active) for row in rows}


async def _trail(district: District) -> int:
    async with district.resources.sessions.read() as session:
        return await session.scalar(select(func.count()).select_from(AuditEntry)) or 0


REFUSED = (
    (f"{LIUHU}-a,,township,department,{LIUHU},,,\n", "validation-failed"),
    (f"{LIUHU}-b,甲,county,department,{LIUHU},,,\n", "validation-failed"),
    (f"{LIUHU}-c,甲,township,department,{LIUHU},,,maybe\n", "validation-failed"),
    (f"{LIUHU}-d,甲,village,department,{LIUHU},,,\n", "unit-misplaced"),
    (f"{LIUHU}-e,甲,township,department,999999999,,,\n", "unit-misplaced"),
    (f"{LIUHU}-f,甲,township,department,{LIUHU},nowhere,,\n", "unit-not-found"),
    (f"{LIUHU}-g,甲,township,department,{LIUHU},{POLICE_LIUHU},,\n", "unit-misplaced"),
    (f"{LIUHU}-h,甲,township,department,{LIUHU},,nobody,\n", "person-not-found"),
    (f"{POLICE_LIUHU},柳湖派出所,village,department,{LIUHU},,,\n", "unit-fixed"),
    (f"{LIUHU}-i,甲,township,department,{LIUHU},,,,more\n", "cells-beyond-columns"),
    (POST, "row-repeated"),
)


async def test_one_refused_row_refuses_the_whole_table(district: District) -> None:
    admin = await district.client("admin")
    units, trail = await _units(district), await _trail(district)
    table = HEAD + POST + "".join(row for row, _ in REFUSED)
    tried = (await _send(admin, table, dry_run=True)).json()
    answer = await _send(admin, table)
    assert (answer.status_code, answer.json()["code"]) == (422, "import-refused")
    told = answer.json()["rows"]
    assert [(row["line"], row["code"]) for row in told] == [
        (line, code) for line, (_, code) in enumerate(REFUSED, start=3)
    ]
    assert all(row["message"] for row in told)
    assert (tried["applied"], tried["added"], tried["refused"]) == (False, 1, len(REFUSED))
    assert [row for row in tried["rows"] if row["outcome"] == "refused"] == told
    assert (await _units(district), await _trail(district)) == (units, trail)


async def test_who_may_not_and_what_is_no_table(district: District) -> None:
    desk = await district.client("desk-liuhu")
    assert (await _send(desk, HEAD + POST)).json()["code"] == "forbidden"
    admin = await district.client("admin")
    for content, kind, code in (
        ("{}", "application/json", "unsupported-media-type"),
        ("", CSV, "import-unreadable"),
        (HEAD, CSV, "import-unreadable"),
        ("code,name\na,b\n", CSV, "import-unreadable"),
        (b"PK\x03\x04", XLSX, "import-unreadable"),
        (HEAD + POST * (MOST_ROWS + 1), CSV, "import-too-long"),
        (HEAD + " " * MOST_BYTES, CSV, "payload-too-large"),
    ):
        assert (await _send(admin, content, kind)).json()["code"] == code


async def test_h12_units_of_another_place_are_no_ones_to_change(district: District) -> None:
    """An administrator of one township, and a row about another: as if it were not there."""
    security = await district.client("security")
    roles = [{"role": "administrator", "unit": LIUHU}]
    new = {"username": "admin-liuhu", "name": "镇管理员", "roles": roles}
    made = await security.post("/v1/people", json=new)
    assert made.status_code == 201, made.text
    async with district.anonymous() as nobody:
        code = made.json()["reset"]["code"]
        new = {"username": "admin-liuhu", "code": code, "new_password": PASSWORD}
        (await nobody.post("/v1/password-reset", json=new)).raise_for_status()
    admin = await district.client("admin-liuhu")
    other = "620802003"
    standing = (await _units(district))[other][0]
    for row, code in (
        (f"{other},{standing},township,centre,{other},,,\n", "unit-not-found"),
        (f"{other},改名,township,centre,{other},,,\n", "unit-not-found"),
        (f"{other}-x,新设,township,department,{other},,,\n", "unit-misplaced"),
        (f"{LIUHU}-x,新设,township,department,{LIUHU},{other},,\n", "unit-not-found"),
    ):
        (told,) = (await _send(admin, HEAD + row)).json()["rows"]
        assert told["code"] == code
    assert (await _send(admin, HEAD + POST)).json()["added"] == 1


def _as_csv(encoding: str) -> bytes:
    return (HEAD + POST).encode(encoding)


def _as_workbook() -> bytes:
    book = Workbook()
    book.active.append(
        ["单位代码", "单位名称", "级别", "类型", "区划代码", "上级单位", "负责人", "启用"]
    )
    township: tuple[object, ...] = (int(LIUHU), int(LIUHU), "police-liuhu", "是")
    book.active.append([f"{LIUHU}-post", "柳湖警务室", "township", "department", *township])
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


@pytest.mark.parametrize(
    ("kind", "content"),
    [(CSV, _as_csv("utf-8-sig")), (CSV, _as_csv("gbk")), (XLSX, _as_workbook())],
    ids=["bom", "gbk", "xlsx"],
)
async def test_a_table_founds_changes_and_a_repeat_changes_nothing(
    district: District, kind: str, content: bytes
) -> None:
    admin = await district.client("admin")
    before = await _units(district)
    tried = (await _send(admin, content, kind, dry_run=True)).json()
    assert (tried["applied"], tried["added"]) == (False, 1)
    assert await _units(district) == before
    done = (await _send(admin, content, kind)).json()
    assert (done["applied"], done["added"], done["refused"]) == (True, 1, 0)
    assert (await _units(district))[f"{LIUHU}-post"] == ("柳湖警务室", 1, True)
    trail = await _trail(district)
    again = (await _send(admin, content, kind)).json()
    assert (again["unchanged"], again["added"], again["changed"]) == (1, 0, 0)
    assert await _trail(district) == trail
    changed = HEAD + POST.replace("柳湖警务室", "柳湖中心警务室").replace(",\n", ",否\n")
    told = (await _send(admin, changed)).json()
    assert (told["changed"], told["rows"][0]["line"]) == (1, 2)
    assert (await _units(district))[f"{LIUHU}-post"] == ("柳湖中心警务室", 2, False)
    async with district.resources.sessions.read() as session:
        lines = await session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(2))
        whole, unit = lines.all()
    assert (whole.action, whole.facts["changed"]) == ("units.imported", 1)
    assert (unit.action, unit.facts["before"]["name"]) == ("unit.changed", "柳湖警务室")
    assert (unit.facts["after"]["name"], unit.facts["revision"]) == ("柳湖中心警务室", 2)
