"""Categories over HTTP: refusals first."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.categories.models import Category
from app.core.audit import AuditEntry
from app.core.db import Json
from tests.categories.conftest import CALLER_ID, AsRole

pytestmark = pytest.mark.usefixtures("seeded")
URL = "/v1/categories"
EVERYBODY_ELSE = [role for role in Role if role is not Role.ADMINISTRATOR]


@pytest.fixture
def admin(as_role: AsRole) -> httpx.AsyncClient:
    return as_role(Role.ADMINISTRATOR)


async def _tag(client: httpx.AsyncClient, code: str) -> dict[str, str]:
    return {"If-Match": (await client.get(f"{URL}/{code}")).headers["ETag"]}


def _code_of(answer: httpx.Response) -> str:
    return str(answer.json()["code"])


@pytest.mark.parametrize("role", EVERYBODY_ELSE)
async def test_only_an_administrator_changes_categories(as_role: AsRole, role: Role) -> None:
    client = as_role(role)
    for path, body in ((f"{URL}/0201", {"name": "x"}), (f"{URL}/0201/external-codes", {})):
        answer = await client.put(path, json=body)
        assert (answer.status_code, _code_of(answer)) == (403, "forbidden")


async def test_s8_change_without_if_match_is_428(admin: httpx.AsyncClient) -> None:
    answer = await admin.put(f"{URL}/0201", json={"name": "消防通道"})
    assert (answer.status_code, _code_of(answer)) == (428, "revision-required")
    answer = await admin.put(f"{URL}/0201/external-codes", json={"12345": "A"})
    assert (answer.status_code, _code_of(answer)) == (428, "revision-required")


async def test_s8_stale_change_is_412_with_the_current_representation(
    admin: httpx.AsyncClient,
) -> None:
    stale = await _tag(admin, "0201")
    await admin.put(f"{URL}/0201", json={"name": "消防通道"}, headers=stale)
    answer = await admin.put(f"{URL}/0201", json={"name": "灭火"}, headers=stale)
    assert (answer.status_code, _code_of(answer)) == (412, "revision-stale")
    assert answer.json()["current"]["name"] == "消防通道"
    assert {"If-Match": answer.headers["ETag"]} == await _tag(admin, "0201")


async def test_weak_tag_never_satisfies_if_match(admin: httpx.AsyncClient) -> None:
    weak = {"If-Match": "W/" + (await _tag(admin, "0201"))["If-Match"]}
    answer = await admin.put(f"{URL}/0201", json={"name": "消防通道"}, headers=weak)
    assert answer.status_code == 412


async def test_if_match_on_a_category_that_is_not_there_is_412(admin: httpx.AsyncClient) -> None:
    answer = await admin.put(f"{URL}/0401", json={"name": "占道"}, headers={"If-Match": "*"})
    assert answer.status_code == 412


async def test_category_without_parent_is_refused(admin: httpx.AsyncClient) -> None:
    answer = await admin.put(f"{URL}/7701", json={"name": "无上级"})
    assert (answer.status_code, _code_of(answer)) == (422, "category-parent-missing")


@pytest.mark.parametrize("code", ["1", "020", "02a1", "0201020304"])
async def test_code_of_another_shape_is_refused(admin: httpx.AsyncClient, code: str) -> None:
    assert (await admin.put(f"{URL}/{code}", json={"name": "x"})).status_code == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"name": ""},
        {"name": "长" * 201},
        {"name": "x", "colour": "red"},
        {"name": "x", "position": -1},
        {"name": "x", "attributes": {"scale": {"deep": 1}}},
        {"name": "x", "attributes": {f"a{n}": True for n in range(33)}},
    ],
)
async def test_malformed_change_is_refused(admin: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    answer = await admin.put(f"{URL}/0401", json=wrong)
    assert (answer.status_code, _code_of(answer)) == (422, "validation-failed")


async def test_sealed_category_is_never_opened_again(admin: httpx.AsyncClient) -> None:
    for code in ("03", "0303"):
        answer = await admin.put(
            f"{URL}/{code}", json={"name": "x", "sealed": False}, headers=await _tag(admin, code)
        )
        assert (answer.status_code, _code_of(answer)) == (409, "category-stays-sealed")


async def test_child_of_a_sealed_category_is_born_sealed(admin: httpx.AsyncClient) -> None:
    refused = await admin.put(f"{URL}/0310", json={"name": "走私", "sealed": False})
    assert refused.status_code == 409
    answer = await admin.put(f"{URL}/0310", json={"name": "走私"})
    assert (answer.status_code, answer.json()["sealed"]) == (201, True)


async def test_change_that_does_not_speak_of_sealing_keeps_it(admin: httpx.AsyncClient) -> None:
    answer = await admin.put(f"{URL}/03", json={"name": "线索"}, headers=await _tag(admin, "03"))
    assert answer.json()["sealed"] is True


async def test_sealing_reaches_everything_below(
    admin: httpx.AsyncClient, session: AsyncSession
) -> None:
    answer = await admin.put(
        f"{URL}/02", json={"name": "安全隐患", "sealed": True}, headers=await _tag(admin, "02")
    )
    assert answer.json()["sealed"] is True
    below = (await admin.get(f"{URL}/0204")).json()
    assert below["sealed"] is True
    stored = await session.scalars(select(Category.sealed).where(Category.parent_code == "02"))
    assert set(stored) == {True}
    answer = await admin.put(
        f"{URL}/0204", json={"name": "道路", "sealed": False}, headers=await _tag(admin, "0204")
    )
    assert answer.status_code == 409


async def test_unknown_category_is_404(admin: httpx.AsyncClient) -> None:
    assert _code_of(await admin.get(f"{URL}/77")) == "category-not-found"
    answer = await admin.put(f"{URL}/77/external-codes", json={"a": "b"})
    assert _code_of(answer) == "category-not-found"


async def test_external_code_stands_for_one_category(admin: httpx.AsyncClient) -> None:
    first = await admin.put(
        f"{URL}/0201/external-codes", json={"12345": "A-7"}, headers=await _tag(admin, "0201")
    )
    assert first.json()["external_codes"] == {"12345": "A-7"}
    second = await admin.put(
        f"{URL}/0202/external-codes", json={"12345": "A-7"}, headers=await _tag(admin, "0202")
    )
    assert (second.status_code, _code_of(second)) == (409, "external-code-taken")
    assert (await admin.get(f"{URL}/0202")).json()["external_codes"] == {}


async def test_external_codes_are_replaced_as_a_whole(admin: httpx.AsyncClient) -> None:
    for codes in ({"12345": "A-7", "police": "K1"}, {"police": "K2"}):
        answer = await admin.put(
            f"{URL}/0201/external-codes", json=codes, headers=await _tag(admin, "0201")
        )
        assert answer.json()["external_codes"] == codes


async def test_created_and_changed_leave_audit_lines(
    admin: httpx.AsyncClient, session: AsyncSession
) -> None:
    created = await admin.put(f"{URL}/0401", json={"name": "占道经营", "position": 3})
    assert created.status_code == 201
    changed = await admin.put(
        f"{URL}/0401",
        json={"name": "占道", "active": False},
        headers={"If-Match": created.headers["ETag"]},
    )
    assert (changed.status_code, changed.json()["active"]) == (200, False)
    await admin.put(
        f"{URL}/0401/external-codes",
        json={"12345": "C"},
        headers={"If-Match": changed.headers["ETag"]},
    )
    lines = (await session.scalars(select(AuditEntry).order_by(AuditEntry.id))).all()
    assert [(line.action, line.object_kind, line.object_id) for line in lines] == [
        ("category.created", "category", "0401"),
        ("category.changed", "category", "0401"),
        ("category.external_codes_changed", "category", "0401"),
    ]
    assert {line.actor_id for line in lines} == {CALLER_ID}
    facts: Json = lines[2].facts
    assert facts == {"before": {}, "after": {"12345": "C"}}


async def test_attributes_own_and_inherited(admin: httpx.AsyncClient) -> None:
    answer = await admin.put(
        f"{URL}/0206",
        json={"name": "危房", "attributes": {"storeys": True}},
        headers=await _tag(admin, "0206"),
    )
    assert answer.json()["attributes"] == {"storeys": True}
    assert answer.json()["effective_attributes"] == {
        "hazard_grade": ["general", "major"],
        "storeys": True,
    }


@pytest.mark.parametrize("role", list(Role))
async def test_everybody_reads_the_tree_parents_first(as_role: AsRole, role: Role) -> None:
    answer = await as_role(role).get(URL)
    page = answer.json()
    codes = [item["code"] for item in page["items"]]
    assert (answer.status_code, len(codes), page["next"]) == (200, 49, None)
    assert codes == sorted(codes)
    assert "Link" not in answer.headers


async def test_s9_held_catalogue_is_304_with_the_same_tag_and_vary(as_role: AsRole) -> None:
    client = as_role(Role.GRID_WORKER)
    full = await client.get(URL)
    assert full.headers["Cache-Control"] == "private, no-cache"
    assert full.headers["ETag"].startswith('"')
    for held in (full.headers["ETag"], f'"other", W/{full.headers["ETag"]}', "*"):
        again = await client.get(URL, headers={"If-None-Match": held})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("ETag", "Vary", "Cache-Control"):
            assert again.headers[name] == full.headers[name]
    assert (await client.get(URL, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_s9_tag_changes_with_the_catalogue(admin: httpx.AsyncClient, as_role: AsRole) -> None:
    client = as_role(Role.GRID_WORKER)
    held = (await client.get(URL)).headers["ETag"]
    await admin.put(f"{URL}/0401", json={"name": "占道"})
    answer = await client.get(URL, headers={"If-None-Match": held})
    assert answer.status_code == 200


async def test_h5_pages_cover_the_tree_once(as_role: AsRole) -> None:
    client = as_role(Role.HANDLER)
    codes: list[str] = []
    answer = await client.get(URL, params={"limit": 20})
    while True:
        codes += [item["code"] for item in answer.json()["items"]]
        if answer.json()["next"] is None:
            break
        link = answer.headers["Link"]
        assert link.endswith('>; rel="next"')
        answer = await client.get(link[1 : link.index(">")])
    assert codes == sorted(set(codes))
    assert len(codes) == 49


async def test_altered_cursor_is_refused(as_role: AsRole) -> None:
    answer = await as_role(Role.HANDLER).get(URL, params={"cursor": "WyIwMSJd.aaaa"})
    assert _code_of(answer) == "cursor-invalid"
