"""Every endpoint × role × foreign object is refused: 401, 403, or it does not exist (404).

Operations are read from the description, so a new one is tried the moment it is mounted. What it
does not tell stands in the lists below, each entry with a reason; `classify` says what is missing.
"""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from app.accounts.permissions import ROLE_PERMISSIONS, Permission, Role
from app.incidents.queues import QUEUES
from app.incidents.sorting import ORDERS
from app.notifications.delivered import Delivered
from tests.district import DatabaseServer
from tests.guardrails.api import SAMPLES, Api, Operation
from tests.guardrails.tables import fingerprints
from tests.guardrails.test_routes import ANYBODY_SIGNED_IN, PUBLIC
from tests.guardrails.world import ROLES, Foreign, World, opened_world

KINDS = {
    "endpoint_id": "endpoint",
    "export_id": "export",
    "attachment_id": "incident",
    "file_id": "file",
    "dry_run_id": "dry run",
    "import_id": "import",
    "incident_id": "incident",
    "link_id": "link",
    "person_id": "person",
    "platform": "platform",
    "platform_id": "platform",
    "session_id": "session",
    "terminal_id": "terminal",
    "unit": "unit",
    "unit_id": "unit",
}
"""Placeholder of a path → kind of object in tests/guardrails/world.py."""
ONE_FOR_ALL = {
    "change_category": "one catalogue for the whole server",
    "change_external_codes": "one catalogue for the whole server",
    "change_limit": "limits are set per category, urgency and level, not per unit",
    "get_area": "the map is the same for everybody",
    "import_areas": "the division tree is one for the whole server",
    "import_categories": "one catalogue for the whole server",
    "import_limits": "limits are set per category, urgency and level, not per unit",
    "import_calendar": "holidays are the same for everybody",
    "list_areas": "the map is the same for everybody",
    "list_categories": "one catalogue for the whole server",
    "list_limits": "limits are the same for everybody",
    "list_routing_rules": "rules name levels and centres, nothing of a matter",
    "activate_routing_rules": "rules are one set for the whole server",
    "list_routing_rule_versions": "rules are one set for the whole server",
    "preview_routing": "shows what the rules say of a place; nothing of a matter",
    "replace_routing_rules": "rules are one set for the whole server",
    "start_routing_dry_run": "looks at matters of the own subtree only; tests/routing",
    "locate_point": "the map is the same for everybody",
    "read_calendar": "holidays are the same for everybody",
    "read_category": "one catalogue for the whole server",
}
OWN = {
    "create_upload": "the own upload; what it is for is checked (test_u20_…)",
    "change_upload": "whose address is random, and the creator's alone (U20)",
    "append_upload": "whose address is random, and the creator's alone (U20)",
    "examine_upload": "whose address is random, and the creator's alone (U20)",
    "withdraw_upload": "whose address is random, and the creator's alone (U20)",
    "count_incidents": "test_counts_and_exports_hold_nothing_foreign asks it",
    "export_incidents_as_csv": "test_counts_and_exports_hold_nothing_foreign asks it",
    "export_incidents_as_xlsx": "the rows of the CSV in another form",
    "begin_export": "the caller's own scope only; what it holds is its scope's",
    "import_units": "tests/accounts/test_unit_table.py asks it (test_h12_…)",
    "ack_inbox": "the own inbox only, nothing else can be named",
    "stream_inbox": "the own inbox only, nothing else can be named",
    "break_glass_of_sealed_incident": "below the own centre only; tests/incidents",
    "find_similar_incidents": "finds visible matters only, names none; tests/incidents",
}
TOLD_PER_ROW = {"import_people_list": "answers 200 and refuses each row"}
ACCEPTED_ELSEWHERE = {
    (
        "list_audit_entries",
        Role.AUDITOR,
    ): "a district's auditor reads the whole trail",
}
"""(operation, role) that may reach a foreign object, and why."""

Json = dict[str, Any]
Body = Callable[[dict[str, str], Json], Json]


def _unit_of(values: dict[str, str]) -> str:
    return values["unit"]


NAMED_IN_BODY: dict[str, dict[str, Body]] = {
    "bind_terminal": {"person": lambda v, b: b | {"id": "a-new-one", **v}},
    "create_person": {
        "unit": lambda v, b: b | {"roles": [{"role": "handler", "unit": _unit_of(v)}]},
    },
    "create_unit": {
        "unit": lambda v, b: (
            b
            | {"level": "township", "kind": "department", "area_code": "620899100"}
            | {"parent": _unit_of(v)}
        ),
    },
    "import_people_list": {
        "unit": lambda v, b: (
            b | {"csv": f"username,name,phone,roles,grids\nsomebody,某人,,handler@{_unit_of(v)},\n"}
        ),
    },
    "register_platform": {"unit": lambda v, b: b | {"code": "one-more", "unit": _unit_of(v)}},
    "create_webhook_endpoint": {
        "area": lambda v, b: b | {"url": "https://1.1.1.1/", "area_codes": [v["area_code"]]},
    },
    "report_incident": {
        "person": lambda v, b: b | {"category": "0201", "reported_for": v["person_id"]},
        "incident": lambda v, b: b | {"category": "0201", "id": v["incident_id"]},
    },
}
"""Operation → kind → the body that names one of that kind, made from the smallest valid one."""
BODIES: dict[str, list[Json]] = {
    "change_office_hours": [{"sessions": [["09:00", "12:00"]]}],
}
KEPT = ("login_sessions", "refresh_tokens", "login_failures", "domain_events")
"""Tables that signing in and reading write."""


@pytest.fixture(scope="module")
async def world(server: DatabaseServer, district_template: str) -> AsyncIterator[World]:
    name = server.create(template=district_template)
    async with opened_world(server.url(name)) as world:
        yield world
    server.drop(name)


def classify(api: Api, operation: Operation) -> str | None:
    """public, own, one_for_all, body, object or list; None: it has to be added to a list."""
    name = operation.name
    if name in PUBLIC:
        return "public"
    if name in ONE_FOR_ALL:
        return "one_for_all"
    if kind_of(operation):
        return "object"
    if name in OWN or name in ANYBODY_SIGNED_IN:
        return "own"
    if name in NAMED_IN_BODY:
        return "body"
    return "list" if is_list(api, operation) and not operation.placeholders else None


def kind_of(operation: Operation) -> str | None:
    return next((KINDS[each] for each in operation.placeholders if each in KINDS), None)


def is_list(api: Api, operation: Operation) -> bool:
    answer = operation.described["responses"].get("200", {}).get("content", {})
    schema = api.resolved(answer.get("application/json", {}).get("schema", {}))
    return operation.method == "get" and "items" in schema.get("properties", {})


def granted(username: str, operation: Operation) -> bool:
    if operation.permission is None:
        return True
    return Permission(operation.permission) in ROLE_PERMISSIONS[ROLES[username]]


def of_class(api: Api, wanted: str) -> Iterator[Operation]:
    return (each for each in api.operations() if classify(api, each) == wanted)


def body_of(api: Api, operation: Operation) -> list[Json]:
    """Keyword arguments of requests with the smallest valid body; a transition's every action."""
    bodies = api.bodies(operation)
    if "application/json" in bodies:
        smallest = api.smallest(bodies["application/json"])
        if operation.name == "move_incident":
            actions = api.schemas["Action"]["enum"]
            return [{"json": {"action": action, "revision": 2}} for action in actions]
        return [{"json": smallest | more} for more in BODIES.get(operation.name, [{}])]
    return [{"content": b"x"}] if bodies else [{}]


async def ask(
    client: httpx.AsyncClient, operation: Operation, values: dict[str, str], **more: Any
) -> httpx.Response:
    filled = dict.fromkeys(operation.placeholders, SAMPLES["uuid"]) | values
    path = operation.path.format_map(filled)
    return await client.request(operation.method, path, headers={"If-Match": '"1"'}, **more)


def test_every_operation_is_classified(api: Api) -> None:
    unknown = [operation.name for operation in api.operations() if not classify(api, operation)]
    assert not unknown, (
        f"{unknown}: add the path's placeholder to KINDS and an object of that kind to world.py, "
        "or a body to NAMED_IN_BODY, or the name with a reason to ONE_FOR_ALL or OWN"
    )


def test_every_role_has_somebody_who_tries() -> None:
    assert set(ROLES.values()) == set(Role)


def test_no_list_names_what_is_not_there(api: Api) -> None:
    names = {operation.name for operation in api.operations()}
    assert {*ONE_FOR_ALL, *OWN, *TOLD_PER_ROW, *NAMED_IN_BODY, *BODIES} <= names
    assert {name for name, _ in ACCEPTED_ELSEWHERE} <= names


async def test_h12_nobody_gets_anything_without_a_token(world: World, api: Api) -> None:
    wrong = []
    async with world.district.anonymous() as nobody:
        for operation in api.operations():
            if operation.public:
                continue
            # a body that is no JSON: who is calling comes before what is sent
            answer = await ask(nobody, operation, {}, content=b"{")
            if answer.status_code != 401:
                wrong.append((operation.name, answer.status_code))
    assert not wrong


async def test_h12_every_role_without_the_permission_is_refused(world: World, api: Api) -> None:
    wrong = []
    for operation in api.operations():
        for username, client in world.clients.items():
            if operation.public or granted(username, operation):
                continue
            answer = await ask(client, operation, {}, **body_of(api, operation)[0])
            code = "forbidden" if operation.method == "head" else answer.json()["code"]
            if (answer.status_code, code) != (403, "forbidden"):
                wrong.append((operation.name, username, answer.status_code))
    assert not wrong


async def test_h12_a_foreign_object_does_not_exist(world: World, api: Api) -> None:
    wrong: list[Any] = []
    before = await _stored(world)
    for operation in of_class(api, "object"):
        for username, client in world.clients.items():
            if not granted(username, operation):
                continue
            objects = world.foreign(username, kind_of(operation) or "")
            assert objects, f"world.py has no object foreign to {username} for {operation.path}"
            for each in objects:
                wrong += await _reached(api, operation, username, client, each)
    assert not wrong
    assert await _stored(world) == before


async def test_a_list_holds_nothing_foreign(world: World, api: Api) -> None:
    wrong: list[Any] = []
    for operation in of_class(api, "list"):
        for username, client in world.clients.items():
            if not granted(username, operation):
                continue
            accepted = (operation.name, ROLES[username]) in ACCEPTED_ELSEWHERE
            marks = set() if accepted else world.marks(username)
            for query in _queries(world, username, operation):
                answer = await client.get(operation.path, params=query)
                shown = [mark for mark in marks if mark in answer.text]
                if shown or answer.status_code != 200:
                    wrong.append((operation.name, username, query, answer.status_code, shown))
    assert not wrong


FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"q": "说"},
    {"area": "620899"},
    {"area": "620802003"},
    {"unit": "620899100200"},
    {"category": "03"},
    {"category": "0201"},
    {"near": "106.68,35.54,999999"},
    {"overdue": "true"},
    {"state": "submitted"},
    *({"queue": queue} for queue in QUEUES),
    *({"sort": sort} for sort in ORDERS),
)


async def test_counts_and_exports_hold_nothing_foreign(world: World) -> None:
    """Each filter on its own: lists, counts and both exports agree, and name nothing foreign."""
    wrong: list[Any] = []
    for username, client in world.clients.items():
        if Permission.READ_INCIDENTS not in ROLE_PERMISSIONS[ROLES[username]]:
            continue
        marks = world.marks(username)
        for wanted in FILTERS:
            told = await client.get("/v1/incidents", params=wanted)
            assert told.status_code == 200, told.text
            shown = [told.text]
            if "sort" not in wanted:
                count = (await client.get("/v1/incidents/count", params=wanted)).json()
                exported = await client.get("/v1/incidents/export.csv", params=wanted)
                lines = list(csv.reader(io.StringIO(exported.content.decode("utf-8-sig"))))
                assert count["count"] == len(told.json()["items"]) == len(lines) - 1
                shown.append(exported.text)
            wrong += [(username, wanted, m) for m in marks for text in shown if m in text]
    assert wrong == []


async def test_nothing_foreign_can_be_named_in_a_body(world: World, api: Api) -> None:
    wrong: list[Any] = []
    before = await _stored(world)
    for operation in of_class(api, "body"):
        smallest = api.smallest(api.bodies(operation)["application/json"])
        for kind, made in NAMED_IN_BODY[operation.name].items():
            for username, client in world.clients.items():
                if not granted(username, operation):
                    continue
                for each in world.foreign(username, kind):
                    body = made({"unit": "", **each.values}, smallest)
                    answer = await ask(client, operation, {}, json=body)
                    if not _refused(operation, answer):
                        wrong.append((operation.name, username, each.label, answer.text[:300]))
    assert not wrong
    assert await _stored(world) == before


async def test_a_file_without_its_signature_does_not_exist(world: World, api: Api) -> None:
    (file,) = world.everywhere["file"]
    operation = api.named("download_file")
    async with world.district.anonymous() as nobody:
        for client in (nobody, *world.clients.values()):
            answer = await ask(client, operation, file.values)
            assert answer.status_code in {403, 404}
            guessed = {"expires": 2**40, "signature": "A" * 43}
            answer = await ask(client, operation, file.values, params=guessed)
            assert answer.status_code in {403, 404}


async def _stored(world: World) -> dict[str, tuple[int, str]]:
    # what was read of inboxes is noted a little later
    await world.district.resources.the(Delivered).write()
    async with world.district.resources.sessions.read() as session:
        return await fingerprints(session, leaving_out=KEPT)


async def _reached(
    api: Api, operation: Operation, username: str, client: httpx.AsyncClient, each: Foreign
) -> list[Any]:
    if not set(operation.placeholders) & set(each.values):
        return []
    found = []
    for body in body_of(api, operation):
        answer = await ask(client, operation, each.values, **body)
        accepted = (operation.name, ROLES[username]) in ACCEPTED_ELSEWHERE
        if answer.status_code != 404 and not accepted:
            sent = json.dumps(body, default=str)[:80]
            found.append((operation.name, username, each.label, sent, answer.status_code))
    return found


def _queries(world: World, username: str, operation: Operation) -> Iterator[dict[str, str]]:
    """Without a filter, and with every filter that can name something foreign."""
    yield {}
    asked = {parameter["name"] for parameter in operation.parameters} - {"cursor", "limit"}
    words = {
        "q": "说",
        "area": "620899",
        "mine": "false",
        "actor_id": "",
        "parent": "620899",
    }
    for name in sorted(asked):
        if words.get(name):
            yield {name: words[name]}
        kind = KINDS.get(name)
        for each in world.foreign(username, kind) if kind else ():
            if name in each.values:
                yield {name: each.values[name]}


def _refused(operation: Operation, answer: httpx.Response) -> bool:
    if operation.name in TOLD_PER_ROW:
        return answer.status_code == 200 and answer.json()["created"] == 0
    return answer.status_code in {403, 404, 409, 422}
