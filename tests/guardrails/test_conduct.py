"""How every operation behaves, whatever it is for: H3, H6, H7, H12, H14, M15, I11."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import select

from app.core.audit import AuditEntry
from tests.district import DatabaseServer, new_incident
from tests.guardrails.api import Api, Operation
from tests.guardrails.tables import fingerprints
from tests.guardrails.visits import CAST, Visit, Visitors, granted, opened_visitors, safe

Json = dict[str, Any]


@pytest.fixture(scope="module")
async def visitors(server: DatabaseServer, district_template: str) -> AsyncIterator[Visitors]:
    name = server.create(template=district_template)
    async with opened_visitors(server.url(name)) as visitors:
        yield visitors
    server.drop(name)


@pytest.fixture(scope="module")
async def visits(visitors: Visitors, api: Api) -> list[Visit]:
    return await visitors.visit(api)


def test_every_safe_operation_was_answered(visits: list[Visit], api: Api) -> None:
    found = {visit.operation.name for visit in visits if visit.found}
    assert {operation.name for operation in safe(api)} == found
    wrong = [(v.operation.name, v.username, v.answer.status_code) for v in visits]
    assert [each for each in wrong if each[2] not in {200, 404}] == []


READING_IS_NOTED = {"evidence.exported", "incidents.exported"}
"""What the audit trail says of safe operations: who took evidence or lists out."""


async def test_h7_safe_methods_have_no_effect(visitors: Visitors, api: Api) -> None:
    sessions = visitors.district.resources.sessions

    async def stored() -> Json:
        async with sessions.read() as session:
            return {**await fingerprints(session, ("audit_entries",))}

    async def noted() -> set[int]:
        unlike = AuditEntry.action.not_in(READING_IS_NOTED)
        async with sessions.read() as session:
            return set(await session.scalars(select(AuditEntry.id).where(unlike)))

    before, entries = await stored(), await noted()
    objects = dict(visitors.district.store.objects)
    await visitors.visit(api)
    assert await stored() == before
    assert await noted() == entries
    assert visitors.district.store.objects == objects


# --- H14, H6: what may be kept, and what was seen -------------------------------------------------

CATALOGUES = {
    "get_area": "the map is the same for everybody",
    "list_categories": "one catalogue for the whole server",
    "list_limits": "limits are the same for everybody",
    "list_routing_rules": "rules are one set for the whole server",
    "read_calendar": "holidays are the same for everybody",
    "read_category": "one catalogue for the whole server",
    "read_client_config": "the same for every client of this version",
    "read_office_hours": "when an office is open is public",
}
CHANGING = {
    "get_area_import": "a job's progress: another one every second",
    "read_routing_dry_run": "as get_area_import",
    "read_callback": "what becomes of it, until it is settled; nobody changes it",
    "read_export": "a job's progress: another one every second",
}
"""Single resources without a tag."""


def test_h14_personal_data_is_kept_nowhere_and_catalogues_only_with_their_tag(
    visits: list[Visit],
) -> None:
    wrong = []
    for visit in visits:
        kept = visit.answer.headers["cache-control"]
        if visit.found and visit.operation.name in CATALOGUES:
            fits = kept == "private, no-cache" and "etag" in visit.answer.headers
        else:
            fits = "no-store" in kept
        if not fits:
            wrong.append((visit.operation.name, visit.answer.status_code, kept))
    assert wrong == []


async def test_h14_a_catalogue_that_is_held_is_not_sent_again(
    visitors: Visitors, visits: list[Visit]
) -> None:
    for visit in visits:
        if not (visit.found and visit.operation.name in CATALOGUES):
            continue
        first = visit.answer
        again = await visitors.clients[visit.username].get(
            str(first.request.url), headers={"If-None-Match": first.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b""), visit.operation.name
        for name in ("etag", "cache-control"):
            assert again.headers[name] == first.headers[name], visit.operation.name


def test_h6_a_single_resource_has_a_tag(visits: list[Visit]) -> None:
    found = [v for v in visits if v.found and v.operation.path.endswith("}")]
    single = [v for v in found if not _in_pages(v.operation)]
    assert {v.operation.name for v in single} >= {"read_incident", "read_unit", "read_person"}
    untagged = {v.operation.name for v in single if "etag" not in v.answer.headers}
    assert untagged == set(CHANGING)


_IN_THE_BODY = {"change_limit": "the revision is a field: one limit of many is named by the body"}
_IMMUTABLE = {
    "put_attachment": "bytes are never replaced: other ones are 409",
    "append_upload": "the offset says what the sender has seen: another one is 409",
}


async def test_h6_whatever_stands_is_changed_by_who_has_seen_it(
    visitors: Visitors, api: Api
) -> None:
    """428 without If-Match; 412 with another tag, and then the one that stands."""
    tried = set()
    for operation in api.operations():
        if operation.method not in {"put", "patch"} or operation.name in _IMMUTABLE | _IN_THE_BODY:
            continue
        client = visitors.clients[next(name for name in CAST if granted(name, operation))]
        path, body = visitors.path(operation), _body(api, operation)
        without = await client.request(operation.method, path, json=body)
        assert (without.status_code, without.json()["code"]) == (428, "revision-required"), path
        stale = await client.request(operation.method, path, json=body, headers={"If-Match": '"x"'})
        assert (stale.status_code, stale.json()["code"]) == (412, "revision-stale"), path
        seen = await client.get(path.removesuffix("/external-codes"))
        assert stale.headers["etag"] == seen.headers["etag"], path
        assert stale.json()["current"] == seen.json(), path
        tried.add(operation.name)
    assert tried >= {
        "change_category",
        "change_external_codes",
        "change_office_hours",
        "update_person",
        "update_unit",
    }


def _body(api: Api, operation: Operation) -> Json:
    if operation.name == "change_office_hours":
        return {"sessions": [["09:00", "12:00"]]}
    if operation.name == "replace_routing_rules":
        return {"rules": [{"name": "全部", "level": "village"}]}
    smallest: Json = api.smallest(api.bodies(operation)["application/json"])
    return smallest


# --- H5: pages ------------------------------------------------------------------------------------


def _in_pages(operation: Operation) -> bool:
    return {"cursor", "limit"} <= {each["name"] for each in operation.parameters}


async def test_h5_every_list_links_its_next_page_and_counts_nothing(
    visitors: Visitors, api: Api
) -> None:
    linked = set()
    for operation in safe(api):
        asked = {each["name"] for each in operation.parameters}
        assert not asked & {"offset", "page", "total"}, operation.name
        if not _in_pages(operation):
            continue
        client = visitors.clients[next(name for name in CAST if granted(name, operation))]
        page = await client.get(
            visitors.path(operation), params=visitors.query(api, operation) | {"limit": 1}
        )
        told = page.json()
        assert {"items", "next"} <= set(told), operation.name
        assert not {"total", "count"} & set(told), operation.name
        if told["next"] is None:
            assert "link" not in page.headers, operation.name
            continue
        target, _, relation = page.headers["link"].partition("; ")
        assert relation == 'rel="next"', operation.name
        following = await client.get(target.strip("<>"))
        assert following.status_code == 200, operation.name
        assert following.json()["items"] != told["items"], operation.name
        linked.add(operation.name)
    assert len(linked) > 5


# --- H3: how things are written -------------------------------------------------------------------

_DATUMS = {"wgs84", "gcj02", "bd09", "cgcs2000"}
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_DURATION = re.compile(r"(_s|_in|_seconds|remaining)$")
_OTHER_UNIT = re.compile(r"_(ms|millis|minutes?|hours?|days?)$")
_MEANT = {
    "loop_lag_ms": "a number for operators",
    "yellow_card_minutes": "working time: seconds of a working day mean nothing to who sets it",
    "extension_days": "days, of the limit's calendar, as they were granted",
    "red_card_minutes": "working time: seconds of a working day mean nothing to who sets it",
}


def test_h3_every_instant_is_utc_with_a_z(visits: list[Visit]) -> None:
    instants = [
        (visit.operation.name, name, value)
        for visit in visits
        for name, value in _leaves(visit)
        if isinstance(value, str) and (_INSTANT.match(value) or name.endswith("_at"))
    ]
    assert len({name for _, name, _ in instants}) > 10
    assert [each for each in instants if not _UTC.fullmatch(each[2])] == []


def test_h3_every_duration_is_a_whole_number_of_seconds(visits: list[Visit]) -> None:
    """And no name speaks of another unit than it is in."""
    durations = [
        (visit.operation.name, name, value)
        for visit in visits
        for name, value in _leaves(visit)
        if _DURATION.search(name) and value is not None
    ]
    assert durations
    assert [each for each in durations if type(each[2]) is not int] == []
    names = {name for visit in visits for name, _ in _leaves(visit)}
    assert {name for name in names if _OTHER_UNIT.search(name)} == set(_MEANT)


def test_h3_every_point_names_its_datum(visits: list[Visit]) -> None:
    points = [point for visit in visits for point in _points(_json(visit))]
    assert points
    assert [point for point in points if "datum" not in point] == []


async def test_h3_gcj02_is_converted_and_its_datum_kept(visitors: Visitors) -> None:
    """What a map's SDK gives and what the chip gives are one place."""
    worker = visitors.clients["worker-yonghong"]
    there = {"lon": 106.68, "lat": 35.54, "accuracy_m": 5}
    gcj02 = (await worker.get("/v1/areas/locate", params={**there, "datum": "gcj02"})).json()
    wgs84 = gcj02["wgs84"]
    assert 0.001 < abs(wgs84["lon"] - there["lon"]) < 0.01
    report = new_incident(place={**there, "datum": "gcj02"})
    assert (await worker.post("/v1/incidents", json=report)).status_code == 201
    shown = f"/v1/incidents/{report['id']}"
    for datum, lon in (("wgs84", wgs84["lon"]), ("gcj02", there["lon"])):
        place = (await worker.get(shown, params={"datum": datum})).json()["place"]
        assert place["datum"] == datum
        assert abs(place["lon"] - lon) < 1e-6


def _json(visit: Visit) -> Any:
    is_json = visit.answer.headers.get("content-type", "").startswith("application/json")
    return visit.answer.json() if is_json and visit.answer.content else {}


def _leaves(visit: Visit) -> Iterator[tuple[str, Any]]:
    yield from _walk("", _json(visit))


def _walk(name: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _walk(key, value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(name, value)
    else:
        yield name, node


def _points(node: Any) -> Iterator[Json]:
    """A point under a name such as `wgs84` is told by that."""
    if isinstance(node, dict):
        if {"lon", "lat"} <= set(node):
            yield node
        for name, value in node.items():
            if name not in _DATUMS:
                yield from _points(value)
    elif isinstance(node, list):
        for value in node:
            yield from _points(value)
