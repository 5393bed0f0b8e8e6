from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from app.accounts.errors import RoleNotForPeople, RolesNotSeparated
from app.accounts.models import Person
from app.accounts.permissions import SEPARATED, Role, demand_separated
from app.core.audit import AuditEntry
from app.core.db import Sessions
from tests.accounts.conftest import Phone, refused
from tests.make import MINXIN_GRID, PASSWORD, YONGHONG_GRID, Cast

pytestmark = pytest.mark.usefixtures("cast")


def wanted(**changes: object) -> dict[str, Any]:
    return {
        "username": "new-worker",
        "name": "李四",
        "phone": "13812345678",
        "roles": [{"role": "grid_worker", "unit": "yonghong"}],
        "grid_codes": [YONGHONG_GRID],
        **changes,
    }


@pytest.mark.parametrize("first", sorted(SEPARATED))
@pytest.mark.parametrize("second", sorted(SEPARATED))
def test_the_three_officers_are_three_people(first: Role, second: Role) -> None:
    if first == second:
        demand_separated([first, second])
    else:
        with pytest.raises(RolesNotSeparated):
            demand_separated([first, Role.HANDLER, second])


def test_no_person_is_a_platform() -> None:
    with pytest.raises(RoleNotForPeople):
        demand_separated([Role.PLATFORM])


async def test_officers_stay_separated_when_created_and_when_changed(
    phone: Phone, cast: Cast
) -> None:
    officer = await phone.sign_in("security")
    both = [{"role": "auditor", "unit": "kongtong"}, {"role": "administrator", "unit": "liuhu"}]
    refused(
        await phone.post("/people", officer, wanted(roles=both, grid_codes=[])),
        409,
        "roles-not-separated",
    )
    answer = await phone.patch(f"/people/{cast.admin.id}", officer, {"roles": both}, If_Match='"1"')
    refused(answer, 409, "roles-not-separated")


async def test_who_may_not_manage_people_is_refused(phone: Phone) -> None:
    for username in ("worker-yonghong", "desk-liuhu", "admin", "auditor"):
        who = await phone.sign_in(username)
        refused(await phone.post("/people", who, wanted()), 403, "forbidden")
    refused(await phone.get("/people", await phone.sign_in("worker-yonghong")), 403, "forbidden")


async def test_the_caller_is_asked_for_before_the_body(phone: Phone) -> None:
    answer = await phone.http.post(
        "/v1/people", content=b"{", headers={"Content-Type": "application/json"}
    )
    refused(answer, 401, "unauthenticated")


@pytest.mark.parametrize(
    "extra",
    [{"password_hash": "x"}, {"state": "active"}, {"id": str(uuid4())}, {"revision": 9}],
)
async def test_mass_assignment_is_refused(phone: Phone, extra: dict[str, Any]) -> None:
    officer = await phone.sign_in("security")
    body = refused(await phone.post("/people", officer, wanted(**extra)), 422, "validation-failed")
    assert body["errors"][0]["code"] == "extra-forbidden"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a\0b"},
        {"name": "x" * 201},
        {"username": "张三"},
        {"username": "x" * 65},
        {"roles": []},
        {"roles": [{"role": "emperor", "unit": "yonghong"}]},
        {"grid_codes": ["g"] * 201},
        {"phone": "<script>"},
    ],
)
async def test_bad_content_is_refused(phone: Phone, changes: dict[str, Any]) -> None:
    officer = await phone.sign_in("security")
    refused(await phone.post("/people", officer, wanted(**changes)), 422, "validation-failed")


async def test_gbk_json_is_refused(phone: Phone) -> None:
    officer = await phone.sign_in("security")
    body = '{"username": "张三"}'.encode("gbk")
    answer = await phone.http.post(
        "/v1/people", content=body, headers={**officer, "Content-Type": "application/json"}
    )
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"


async def test_outside_the_scope_nobody_exists(phone: Phone, cast: Cast) -> None:
    officer = await phone.sign_in("security-liuhu")
    there = f"/people/{cast.other_worker.id}"
    refused(await phone.get(there, officer), 404, "person-not-found")
    refused(await phone.patch(there, officer, {}, If_Match='"1"'), 404, "person-not-found")
    refused(await phone.post(f"{there}/password-reset", officer), 404, "person-not-found")
    beyond = wanted(roles=[{"role": "handler", "unit": "minxin"}], grid_codes=[])
    refused(await phone.post("/people", officer, beyond), 404, "unit-not-found")
    above = wanted(roles=[{"role": "security_officer", "unit": "kongtong"}], grid_codes=[])
    refused(await phone.post("/people", officer, above), 404, "unit-not-found")
    names = {item["username"] for item in (await phone.get("/people", officer)).json()["items"]}
    assert "desk-liuhu" in names
    assert names.isdisjoint({"worker-minxin", "desk-kongtong", "admin"})


async def test_who_also_works_elsewhere_is_left_to_the_level_above(
    phone: Phone, cast: Cast
) -> None:
    above = await phone.sign_in("security")
    roles = [{"role": "dispatcher", "unit": "liuhu"}, {"role": "supervisor", "unit": "kongtong"}]
    there = f"/people/{cast.township_desk.id}"
    assert (await phone.patch(there, above, {"roles": roles}, If_Match='"1"')).status_code == 200
    officer = await phone.sign_in("security-liuhu")
    assert (await phone.get(there, officer)).status_code == 200
    refused(await phone.post(f"{there}/password-reset", officer), 403, "person-beyond-scope")


async def test_nobody_changes_their_own_rights(phone: Phone, cast: Cast) -> None:
    officer = await phone.sign_in("security")
    there = f"/people/{cast.security.id}"
    refused(await phone.patch(there, officer, {}, If_Match='"1"'), 403, "own-account")
    refused(await phone.post(f"{there}/password-reset", officer), 403, "own-account")


async def test_grids_lie_below_the_units(phone: Phone) -> None:
    officer = await phone.sign_in("security")
    body = refused(
        await phone.post("/people", officer, wanted(grid_codes=[MINXIN_GRID, "nowhere"])),
        422,
        "grid-beyond-units",
    )
    assert body["grids"] == [MINXIN_GRID, "nowhere"]


async def test_a_user_name_is_taken_in_any_case(phone: Phone) -> None:
    officer = await phone.sign_in("security")
    taken = wanted(username="WORKER-yonghong")
    refused(await phone.post("/people", officer, taken), 409, "username-taken")


async def test_h6_a_change_names_the_revision_it_saw(phone: Phone, cast: Cast) -> None:
    officer = await phone.sign_in("security")
    there = f"/people/{cast.worker.id}"
    refused(await phone.patch(there, officer, {"name": "新"}), 428, "revision-required")
    seen = await phone.get(there, officer)
    for stale in ('"7"', '"x"', "*"):
        answer = await phone.patch(there, officer, {"name": "新"}, If_Match=stale)
        told = refused(answer, 412, "revision-stale")
        assert (answer.headers["etag"], told["current"]) == (seen.headers["etag"], seen.json())
    changed = await phone.patch(there, officer, {"name": "新"}, If_Match='"1"')
    assert (changed.json()["name"], changed.headers["etag"]) == ("新", '"2"')


async def test_a_new_person_signs_in_with_the_one_time_code(
    phone: Phone, cast: Cast, sessions: Sessions
) -> None:
    officer = await phone.sign_in("security")
    made = await phone.post("/people", officer, wanted())
    assert made.status_code == 201, made.text
    person, code = made.json()["person"], made.json()["reset"]["code"]
    assert person["phone"] == "138****5678"
    refused(await phone.password("new-worker"), 401, "invalid-credentials")
    form = {"username": "new-worker", "code": code, "new_password": PASSWORD}
    assert (await phone.post("/password-reset", {}, form)).status_code == 204
    me = (await phone.get("/me", await phone.sign_in("new-worker"))).json()
    assert me["grids"] == [YONGHONG_GRID]
    async with sessions.read() as session:
        stored = await session.scalar(select(Person).where(Person.username == "new-worker"))
        assert stored is not None
        assert stored.phone_sealed is not None
        assert "12345678" not in stored.phone_sealed
        entry = await session.scalar(
            select(AuditEntry).where(
                AuditEntry.action == "person.created", AuditEntry.object_id == person["id"]
            )
        )
        assert entry is not None
        assert entry.actor_id == cast.security.id


async def test_changed_roles_hold_at_the_next_request(phone: Phone, cast: Cast) -> None:
    who = await phone.sign_in("police-liuhu")
    assert (await phone.get("/me", who)).json()["roles"][0]["role"] == "handler"
    officer = await phone.sign_in("security")
    answer = await phone.patch(
        f"/people/{cast.handler.id}",
        officer,
        {"roles": [{"role": "supervisor", "unit": "police-liuhu"}]},
        If_Match='"1"',
    )
    assert answer.status_code == 200
    assert (await phone.get("/me", who)).json()["roles"][0]["role"] == "supervisor"


async def test_h5_people_come_in_pages(phone: Phone) -> None:
    officer = await phone.sign_in("security")
    seen: list[str] = []
    path = "/v1/people?limit=4"
    while path:
        answer = await phone.http.get(path, headers=officer)
        seen += [item["username"] for item in answer.json()["items"]]
        path = answer.links["next"]["url"] if answer.json()["next"] else ""
    assert seen == sorted(seen)
    assert len(seen) == len(set(seen)) == 11


async def test_people_are_found_by_name_role_and_unit(phone: Phone) -> None:
    officer = await phone.sign_in("security")
    for query, expected in (
        ({"q": "minxin"}, ["worker-minxin"]),
        ({"q": "100%"}, []),
        ({"role": "dispatcher", "unit": "liuhu"}, ["desk-liuhu"]),
    ):
        items = (await phone.get("/people", officer, **query)).json()["items"]
        assert [item["username"] for item in items] == expected
    refused(await phone.get("/people", officer, q="a\0b"), 422, "validation-failed")
    refused(await phone.get("/people", officer, cursor="forged.x"), 400, "cursor-invalid")


TABLE = """username,name,phone,roles,grids
li-si,李四,13812345678,grid_worker@yonghong;handler@police-liuhu,620802105201001
worker-yonghong,重名,,grid_worker@yonghong,
x,太短,,grid_worker@yonghong,
wang-wu,王五,,grid_worker@nowhere,
li-si,又是,,grid_worker@yonghong,
"""


async def test_an_import_answers_every_row(phone: Phone) -> None:
    officer = await phone.sign_in("security")
    for dry_run in (True, False):
        answer = await phone.post("/people/import", officer, {"csv": TABLE, "dry_run": dry_run})
        report = answer.json()
        assert (report["created"], report["refused"]) == (1, 4), report
        problems = [(row["line"], row["problem"]) for row in report["rows"]]
        assert problems == [
            (2, None),
            (3, "username-taken"),
            (4, "validation-failed"),
            (5, "unit-not-found"),
            (6, "username-taken"),
        ]
        assert bool(report["rows"][0]["code"]) is not dry_run
    assert (await phone.get("/people", officer, q="li-si")).json()["items"][0]["name"] == "李四"


@pytest.mark.parametrize("table", ["a,b\n1,2", '"', "username,name,phone,roles\n", "x" * 140_000])
async def test_an_unreadable_import_is_refused(phone: Phone, table: str) -> None:
    officer = await phone.sign_in("security")
    answer = await phone.post("/people/import", officer, {"csv": table})
    refused(answer, 422, "people-import-unreadable")


async def test_an_import_may_not_be_too_long(phone: Phone) -> None:
    officer = await phone.sign_in("security")
    rows = "username,name,phone,roles,grids\n" + "a,b,,c,\n" * 501
    refused(
        await phone.post("/people/import", officer, {"csv": rows}), 422, "people-import-too-long"
    )
