from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.queries import (
    centre_of_area,
    grid_workers_of,
    parent_centre,
    staff_of,
    unit_by_ref,
    units_by_ids,
)
from app.core.db import Sessions
from tests.accounts.conftest import Phone, refused
from tests.make import LIUHU, MINXIN, XIJIAO, YONGHONG, YONGHONG_GRID, Cast, make_person

pytestmark = pytest.mark.usefixtures("cast")


async def listed(phone: Phone, username: str, **query: str | int) -> set[str]:
    who = await phone.sign_in(username)
    answer = await phone.get("/units", who, **query)
    assert answer.status_code == 200, answer.text
    return {item["code"] for item in answer.json()["items"]}


async def test_units_outside_the_scope_do_not_exist(phone: Phone, cast: Cast) -> None:
    who = await phone.sign_in("desk-liuhu")
    for ref in ("xijiao", str(cast.other_village.id), "nowhere"):
        refused(await phone.get(f"/units/{ref}", who), 404, "unit-not-found")
    admin = await phone.sign_in("admin")
    refused(await phone.patch("/units/nowhere", admin, {}, If_Match='"1"'), 404, "unit-not-found")


@pytest.mark.parametrize(
    ("username", "codes"),
    [
        ("worker-yonghong", {"kongtong", "liuhu", "yonghong"}),
        ("desk-liuhu", {"kongtong", "liuhu", "yonghong", "police-liuhu"}),
        ("police-liuhu", {"kongtong", "liuhu", "yonghong", "police-liuhu"}),
        (
            "admin",
            {"kongtong", "liuhu", "yonghong", "police-liuhu", "xijiao", "minxin"},
        ),
    ],
)
async def test_own_subtree_ancestors_and_members_are_listed(
    phone: Phone, username: str, codes: set[str]
) -> None:
    assert await listed(phone, username) == codes


async def test_a_platform_sees_its_township(phone: Phone, cast: Cast) -> None:
    answer = await phone.token(
        grant_type="client_credentials",
        client_id="liuhu-platform",
        client_secret=cast.platform_secret,
    )
    who = {"Authorization": "Bearer " + answer.json()["access_token"]}
    items = (await phone.get("/units", who)).json()["items"]
    assert {item["code"] for item in items} == {"kongtong", "liuhu", "yonghong", "police-liuhu"}


async def test_units_are_filtered(phone: Phone) -> None:
    assert await listed(phone, "admin", kind="department") == {"police-liuhu"}
    assert await listed(phone, "admin", area=XIJIAO) == {"xijiao", "minxin"}
    assert await listed(phone, "admin", q="派出") == {"police-liuhu"}
    assert await listed(phone, "admin", q="%") == set()


async def test_a_unit_has_its_fixed_shape_and_a_tag(phone: Phone, cast: Cast) -> None:
    who = await phone.sign_in("desk-liuhu")
    answer = await phone.get("/units/police-liuhu", who)
    assert answer.headers["etag"] == '"1"'
    assert answer.json() == {
        "id": str(cast.police.id),
        "code": "police-liuhu",
        "name": "柳湖派出所",
        "level": "township",
        "kind": "department",
        "area_code": LIUHU,
        "parent_id": str(cast.township.id),
        "head_id": None,
        "active": True,
        "revision": 1,
    }


def wanted(**changes: object) -> dict[str, Any]:
    return {
        "code": "justice-liuhu",
        "name": "柳湖司法所",
        "level": "township",
        "kind": "department",
        "area_code": LIUHU,
        "parent": "liuhu",
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"area_code": "nowhere"}, 422, "unit-misplaced"),
        ({"level": "village"}, 422, "unit-misplaced"),
        ({"parent": "police-liuhu"}, 422, "unit-misplaced"),
        ({"parent": "xijiao"}, 422, "unit-misplaced"),
        ({"parent": "nowhere"}, 404, "unit-not-found"),
        ({"kind": "centre"}, 422, "unit-misplaced"),
        ({"kind": "centre", "parent": "kongtong"}, 409, "unit-code-taken"),
        ({"code": "liuhu"}, 409, "unit-code-taken"),
        ({"head_id": "01890000-0000-7000-8000-000000000000"}, 404, "person-not-found"),
        ({"active": True}, 422, "validation-failed"),
        ({"code": "a b"}, 422, "validation-failed"),
    ],
)
async def test_a_misplaced_unit_is_refused(
    phone: Phone, changes: dict[str, Any], status: int, code: str
) -> None:
    admin = await phone.sign_in("admin")
    refused(await phone.post("/units", admin, wanted(**changes)), status, code)


async def test_only_administrators_change_units(phone: Phone) -> None:
    for username in ("desk-kongtong", "security", "auditor", "worker-yonghong"):
        who = await phone.sign_in(username)
        refused(await phone.post("/units", who, wanted()), 403, "forbidden")


async def test_an_administrator_changes_nothing_outside_the_own_subtree(
    phone: Phone, cast: Cast, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        await make_person(session, (Role.ADMINISTRATOR, cast.township), username="admin-liuhu")
    admin = await phone.sign_in("admin-liuhu")
    for ref in ("xijiao", "kongtong"):
        answer = await phone.patch(f"/units/{ref}", admin, {"name": "x"}, If_Match='"1"')
        refused(answer, 404, "unit-not-found")
    there = wanted(area_code=XIJIAO, parent=None)
    refused(await phone.post("/units", admin, there), 422, "unit-misplaced")
    made = await phone.post("/platforms", admin, {"code": "p", "name": "p", "unit": "xijiao"})
    refused(made, 404, "unit-not-found")


async def test_an_administrator_adds_moves_and_switches_off(phone: Phone, cast: Cast) -> None:
    admin = await phone.sign_in("admin")
    made = await phone.post("/units", admin, wanted(head_id=str(cast.handler.id)))
    assert made.status_code == 201, made.text
    refused(
        await phone.patch("/units/liuhu", admin, {"parent": "yonghong"}, If_Match='"1"'),
        422,
        "unit-misplaced",
    )
    moved = await phone.patch(
        "/units/justice-liuhu", admin, {"parent": "kongtong", "head_id": None}, If_Match='"1"'
    )
    assert moved.json()["parent_id"] == str(cast.district.id)
    assert moved.json()["head_id"] is None
    stale = await phone.patch("/units/justice-liuhu", admin, {"active": False}, If_Match='"1"')
    told = refused(stale, 412, "revision-stale")
    assert (stale.headers["etag"], told["current"]) == ('"2"', moved.json())
    off = await phone.patch("/units/justice-liuhu", admin, {"active": False}, If_Match='"2"')
    assert off.json()["active"] is False
    assert "justice-liuhu" not in await listed(phone, "admin")


async def test_roles_in_a_unit_switched_off_do_not_count(phone: Phone) -> None:
    who = await phone.sign_in("police-liuhu")
    admin = await phone.sign_in("admin")
    assert (await phone.get("/me", who)).json()["roles"] != []
    await phone.patch("/units/police-liuhu", admin, {"active": False}, If_Match='"1"')
    assert (await phone.get("/me", who)).json()["roles"] == []
    refused(await phone.get("/units", who), 403, "forbidden")


async def test_h12_terminals_of_others_do_not_exist(phone: Phone, cast: Cast) -> None:
    await phone.sign_in("worker-minxin", terminal_id="theirs")
    officer = await phone.sign_in("security-liuhu")
    refused(await phone.post("/terminals/theirs/revoke", officer), 404, "terminal-not-found")
    refused(await phone.post("/terminals/theirs/approve", officer), 404, "terminal-not-found")
    foreign = {"id": "new", "person_id": str(cast.other_worker.id)}
    refused(await phone.post("/terminals", officer, foreign), 404, "person-not-found")
    assert (await phone.get("/terminals", officer)).json()["items"] == []
    worker = await phone.sign_in("worker-minxin")
    refused(await phone.post("/terminals/theirs/revoke", worker), 403, "forbidden")


async def test_a_terminal_is_bound_beforehand_once(phone: Phone, cast: Cast) -> None:
    officer = await phone.sign_in("security")
    body = {"id": "t-9", "person_id": str(cast.worker.id), "model": "P10"}
    assert (await phone.post("/terminals", officer, body)).status_code == 201
    refused(await phone.post("/terminals", officer, body), 409, "terminal-taken")


async def test_platforms_belong_to_administrators_and_their_area(phone: Phone) -> None:
    refused(await phone.get("/platforms", await phone.sign_in("security")), 403, "forbidden")
    admin = await phone.sign_in("admin")
    body = {"code": "xijiao-platform", "name": "西郊平台", "unit": "nowhere"}
    refused(await phone.post("/platforms", admin, body), 404, "unit-not-found")
    made = await phone.post("/platforms", admin, {**body, "unit": "xijiao"})
    assert made.status_code == 201
    refused(
        await phone.post("/platforms", admin, {**body, "unit": "xijiao"}),
        409,
        "platform-code-taken",
    )
    codes = [item["code"] for item in (await phone.get("/platforms", admin)).json()["items"]]
    assert codes == ["liuhu-platform", "xijiao-platform"]


async def test_a_rotated_or_disabled_platform_is_out_at_once(phone: Phone, cast: Cast) -> None:
    admin = await phone.sign_in("admin")
    form = {"grant_type": "client_credentials", "client_id": "liuhu-platform"}
    secret, there = cast.platform_secret, f"/platforms/{cast.platform.id}"
    earlier: list[dict[str, str]] = []
    for change in ("rotate-secret", "disable"):
        before = await phone.token(**form, client_secret=secret)
        earlier.append({"Authorization": "Bearer " + before.json()["access_token"]})
        answer = await phone.post(f"{there}/{change}", admin)
        refused(await phone.get("/me", earlier[-1]), 401, "session-ended")
        refused(await phone.token(**form, client_secret=secret), 401, "invalid-credentials")
        secret = answer.json().get("secret", secret)
    assert (await phone.post(f"{there}/enable", admin)).status_code == 200
    assert (await phone.token(**form, client_secret=secret)).status_code == 200
    for who in earlier:  # switched on again: what ended stays ended
        refused(await phone.get("/me", who), 401, "session-ended")


async def test_the_audit_trail_is_for_auditors_and_comes_in_pages(phone: Phone, cast: Cast) -> None:
    for username in ("admin", "security", "desk-kongtong"):
        refused(await phone.get("/audit", await phone.sign_in(username)), 403, "forbidden")
    auditor = await phone.sign_in("auditor")
    first = (await phone.get("/audit", auditor, limit=3)).json()
    second = (await phone.get("/audit", auditor, limit=3, cursor=first["next"])).json()
    ids = [item["id"] for item in first["items"] + second["items"]]
    assert ids == sorted(ids, reverse=True)
    mine = await phone.get(
        "/audit", auditor, actor_id=str(cast.auditor.id), action="login.succeeded"
    )
    assert len(mine.json()["items"]) == 1
    refused(await phone.get("/audit", auditor, since="yesterday"), 422, "validation-failed")
    refused(
        await phone.get("/audit", auditor, cursor=first["next"], action="x"),
        400,
        "cursor-invalid",
    )


async def test_client_config_is_for_the_signed_in_and_cached(phone: Phone) -> None:
    refused(await phone.http.get("/v1/client-config"), 401, "unauthenticated")
    who = await phone.sign_in("worker-yonghong")
    answer = await phone.get("/client-config", who)
    assert answer.json()["single_post_max_bytes"] == 262_144
    assert answer.headers["cache-control"] == "private, no-cache"
    again = await phone.http.get(
        "/v1/client-config", headers={**who, "If-None-Match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


async def test_staff_and_centres_are_found(session: AsyncSession, cast: Cast) -> None:
    staff = await staff_of(
        session, [cast.township.id, cast.police.id], [Role.DISPATCHER, Role.HANDLER]
    )
    assert staff == {
        cast.township.id: [cast.township_desk.id],
        cast.police.id: [cast.handler.id],
    }
    assert await staff_of(session, [], [Role.HANDLER]) == {}
    assert await staff_of(session, [cast.village.id], []) == {cast.village.id: []}
    centres = await centre_of_area(session, [YONGHONG, LIUHU, YONGHONG_GRID])
    assert {area: unit.code for area, unit in centres.items()} == {
        YONGHONG: "yonghong",
        LIUHU: "liuhu",
    }
    police = await unit_by_ref(session, "police-liuhu")
    assert police is not None
    above = await parent_centre(session, police)
    assert above is not None
    assert above.code == "liuhu"
    assert await parent_centre(session, cast.district) is None
    assert set(await units_by_ids(session, [cast.police.id])) == {cast.police.id}
    assert await grid_workers_of(session, [YONGHONG_GRID, MINXIN]) == {
        YONGHONG_GRID: [cast.worker.id]
    }
