"""Calendars, limits and office hours over HTTP: refusals first."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.core.audit import AuditEntry
from app.core.db import Sessions, new_id
from tests.deadlines.conftest import CALLER_ID, AsRole
from tests.make import MINXIN, YONGHONG, make_areas, make_unit

pytestmark = pytest.mark.usefixtures("seeded")
EVERYBODY_ELSE = [role for role in Role if role is not Role.ADMINISTRATOR]
FIRE = {
    "category_code": "0201",
    "urgency": "routine",
    "level": "township",
    "stage": "handle",
    "minutes": 840,
    "calendar": "working",
}
HOURS = {"sessions": [["09:00", "12:00"], ["13:00", "18:00"]]}
CSV = "day,kind,name\n2027-01-01,holiday,元旦\n"


@pytest.fixture
def admin(as_role: AsRole) -> httpx.AsyncClient:
    return as_role(Role.ADMINISTRATOR)


def _refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["code"])


@pytest.mark.parametrize("role", EVERYBODY_ELSE)
async def test_only_an_administrator_changes_deadlines(as_role: AsRole, role: Role) -> None:
    client = as_role(role)
    for answer in (
        await client.put("/v1/limits", json=FIRE),
        await client.put("/v1/office-hours/default", json=HOURS),
        await client.post("/v1/calendar/import", json={"csv": CSV}),
    ):
        assert _refusal(answer) == (403, "forbidden")


@pytest.mark.parametrize("role", list(Role))
async def test_everybody_reads_deadlines(as_role: AsRole, role: Role) -> None:
    client = as_role(role)
    for path in ("/v1/limits", "/v1/calendar?year=2026", "/v1/office-hours/default"):
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"minutes": 0},
        {"minutes": 10**9},
        {"urgency": "whenever"},
        {"stage": "rate"},
        {"level": "grid"},
        {"calendar": "lunar"},
        {"extension_days_max": -1},
        {"yellow_card_minutes": 5, "red_card_minutes": 4},
        {"colour": "red"},
        {"revision": 0},
    ],
)
async def test_malformed_limit_is_refused(admin: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    answer = await admin.put("/v1/limits", json=FIRE | wrong)
    assert _refusal(answer) == (422, "validation-failed")


async def test_limit_of_an_unknown_category_is_refused(admin: httpx.AsyncClient) -> None:
    answer = await admin.put("/v1/limits", json=FIRE | {"category_code": "77"})
    assert _refusal(answer) == (422, "category-unknown")


async def test_s8_limit_that_stands_needs_the_revision_seen(admin: httpx.AsyncClient) -> None:
    first = await admin.put("/v1/limits", json=FIRE)
    assert (first.status_code, first.json()["revision"]) == (201, 1)
    assert _refusal(await admin.put("/v1/limits", json=FIRE)) == (428, "revision-required")
    second = await admin.put("/v1/limits", json=FIRE | {"minutes": 60, "revision": 1})
    assert (second.status_code, second.json()["revision"]) == (200, 2)
    stale = await admin.put("/v1/limits", json=FIRE | {"minutes": 90, "revision": 1})
    assert _refusal(stale) == (412, "revision-stale")
    assert stale.json()["current"] == second.json()


async def test_revision_of_a_limit_that_is_not_there_is_412(admin: httpx.AsyncClient) -> None:
    answer = await admin.put("/v1/limits", json=FIRE | {"revision": 1})
    assert _refusal(answer) == (412, "revision-stale")


async def test_changed_limits_leave_audit_lines(
    admin: httpx.AsyncClient, session: AsyncSession
) -> None:
    limit = (await admin.put("/v1/limits", json=FIRE)).json()
    await admin.put("/v1/limits", json=FIRE | {"minutes": 60, "revision": 1})
    lines = (await session.scalars(select(AuditEntry).order_by(AuditEntry.id))).all()
    assert [line.action for line in lines] == ["limit.created", "limit.changed"]
    assert {(line.object_id, line.actor_id) for line in lines} == {(str(limit["id"]), CALLER_ID)}
    assert lines[1].facts["before"]["minutes"] == 840
    assert lines[1].facts["after"]["minutes"] == 60


async def test_limits_are_listed_page_by_page(as_role: AsRole) -> None:
    client = as_role(Role.HANDLER)
    found: list[int] = []
    answer = await client.get("/v1/limits", params={"limit": 7})
    while answer.json()["next"]:
        found += [item["id"] for item in answer.json()["items"]]
        link = answer.headers["Link"]
        answer = await client.get(link[1 : link.index(">")])
    found += [item["id"] for item in answer.json()["items"]]
    assert len(found) == len(set(found)) == 20


async def test_s9_limits_and_calendar_are_304_when_held(as_role: AsRole) -> None:
    client = as_role(Role.HANDLER)
    for path in ("/v1/limits", "/v1/calendar?year=2026", "/v1/office-hours/default"):
        full = await client.get(path)
        assert full.headers["Cache-Control"] == "private, no-cache"
        again = await client.get(path, headers={"If-None-Match": full.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == full.headers["ETag"]


@pytest.mark.parametrize("year", ["", "1999", "2101", "x"])
async def test_calendar_of_no_year_is_refused(admin: httpx.AsyncClient, year: str) -> None:
    answer = await admin.get("/v1/calendar", params={"year": year})
    assert _refusal(answer) == (422, "validation-failed")


async def test_cursor_of_another_year_is_refused(admin: httpx.AsyncClient) -> None:
    first = (await admin.get("/v1/calendar", params={"year": 2026, "limit": 5})).json()
    answer = await admin.get("/v1/calendar", params={"year": 2025, "cursor": first["next"]})
    assert _refusal(answer) == (400, "cursor-invalid")


async def test_calendar_shows_the_days_that_differ(admin: httpx.AsyncClient) -> None:
    page = (await admin.get("/v1/calendar", params={"year": 2026})).json()
    assert page["published"] is True
    days = {item["day"]: (item["kind"], item["name"]) for item in page["items"]}
    assert days["2026-10-01"] == ("holiday", "国庆节")
    assert days["2026-10-10"] == ("workday", "国庆节调休")
    assert list(days) == sorted(days)
    assert len(days) == 33 + 6
    unknown = (await admin.get("/v1/calendar", params={"year": 2027})).json()
    assert (unknown["published"], unknown["items"]) == (False, [])


async def test_calendar_with_a_mistake_is_refused_row_by_row(admin: httpx.AsyncClient) -> None:
    body = {"csv": CSV + "2027-13-01,holiday,错\n"}
    answer = await admin.post("/v1/calendar/import", json=body)
    assert _refusal(answer) == (422, "calendar-import-refused")
    assert [(row["line"], row["code"]) for row in answer.json()["rows"]] == [(3, "day-invalid")]
    page = (await admin.get("/v1/calendar", params={"year": 2027})).json()
    assert page["published"] is False


async def test_unreadable_calendar_is_refused(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/v1/calendar/import", json={"csv": "hello"})
    assert _refusal(answer) == (422, "calendar-unreadable")


async def test_calendar_is_imported(admin: httpx.AsyncClient) -> None:
    tried = await admin.post("/v1/calendar/import", json={"csv": CSV, "dry_run": True})
    assert (tried.json()["applied"], tried.json()["added"]) == (False, 1)
    done = await admin.post("/v1/calendar/import", json={"csv": CSV})
    assert (done.status_code, done.json()["applied"], done.json()["added"]) == (200, True, 1)
    page = (await admin.get("/v1/calendar", params={"year": 2027})).json()
    assert (page["published"], len(page["items"])) == (True, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [["12:00", "09:00"]],
        [["09:00", "12:00"], ["11:00", "18:00"]],
        [["9:00", "12:00"]],
        [["09:00", "25:00"]],
        [["09:00"]],
        [["01:00", "02:00"]] * 7,
    ],
)
async def test_malformed_office_hours_are_refused(
    admin: httpx.AsyncClient, wrong: list[list[str]]
) -> None:
    answer = await admin.put("/v1/office-hours/default", json={"sessions": wrong})
    assert _refusal(answer) == (422, "validation-failed")


async def test_office_hours_of_an_unknown_unit_are_refused(admin: httpx.AsyncClient) -> None:
    answer = await admin.put(f"/v1/office-hours/{new_id()}", json=HOURS)
    assert _refusal(answer) == (404, "unit-not-found")
    assert (await admin.put("/v1/office-hours/nobody", json=HOURS)).status_code == 422
    answer = await admin.get(f"/v1/office-hours/{new_id()}")
    assert _refusal(answer) == (404, "office-hours-not-found")


async def test_s8_office_hours_that_stand_need_the_tag_seen(admin: httpx.AsyncClient) -> None:
    held = (await admin.get("/v1/office-hours/default")).headers["ETag"]
    missing = await admin.put("/v1/office-hours/default", json=HOURS)
    assert _refusal(missing) == (428, "revision-required")
    first = await admin.put("/v1/office-hours/default", json=HOURS, headers={"If-Match": held})
    assert (first.status_code, first.json()) == (200, {"unit_id": None} | HOURS)
    stale = await admin.put("/v1/office-hours/default", json=HOURS, headers={"If-Match": held})
    assert _refusal(stale) == (412, "revision-stale")
    assert stale.headers["ETag"] == first.headers["ETag"]


async def test_unit_gets_hours_of_its_own(
    admin: httpx.AsyncClient, sessions: Sessions, session: AsyncSession
) -> None:
    async with sessions.begin() as writing:
        await make_areas(writing)
        unit = (await make_unit(writing, area_code=YONGHONG)).id
        foreign = (await make_unit(writing, area_code=MINXIN)).id
    refused = await admin.put(f"/v1/office-hours/{foreign}", json=HOURS)
    assert _refusal(refused) == (404, "unit-not-found")
    answer = await admin.put(f"/v1/office-hours/{unit}", json=HOURS)
    assert (answer.status_code, answer.json()) == (201, {"unit_id": str(unit)} | HOURS)
    assert (await admin.get(f"/v1/office-hours/{unit}")).json() == answer.json()
    changed = select(AuditEntry).where(AuditEntry.action == "office_hours.changed")
    line = (await session.scalars(changed)).one()
    assert line.object_id == str(unit)
    assert line.facts == {"before": None, "after": HOURS["sessions"]}
