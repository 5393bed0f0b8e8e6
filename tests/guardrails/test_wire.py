"""H13: every string, list and number on the wire is bounded, the answers' too."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from app.incidents.status import State
from tests.guardrails.api import Api, Operation

Json = dict[str, Any]

OPEN = {
    "AreaDetail.geometry": "GeoJSON",
    "AuditView.facts": "differs by action; written by the server only",
    "DecisionView.trace": "differs by rule; written by the server only",
    "Preview.trace": "differs by rule; written by the server only",
    "PreviewView.trace": "differs by rule; written by the server only",
    "HistoryView.facts": "differs by action; written by the server only",
    "import_areas application/json.geometries[]": "GeoJSON; the body is limited to 16 MiB",
}
OPENED = "x-extensible-enum"
ENDLESS = {
    "stream_inbox 200 text/event-stream": "server-sent events, 4 KiB each",
    "export_incidents_as_csv 200 text/csv": "10,000 lines of a list",
    "download_export 200 text/csv": "a file of a million lines",
}


def test_h13_every_schema_is_bounded(api: Api) -> None:
    loose = [place for place in _loose(api) if place not in OPEN | ENDLESS]
    assert not loose, f"use the types of app.core.fields: {loose}"


def test_h13_no_exception_is_stale(api: Api) -> None:
    assert set(_loose(api)) == set(OPEN | ENDLESS)


def test_h13_every_number_has_a_format(api: Api) -> None:
    for _, schema in _schemas(api):
        for part in _parts("", schema):
            if part[1].get("type") in {"integer", "number"}:
                assert part[1].get("format") in {"int32", "int64", "double"}, part


def test_h2_bodies_and_answers_are_objects(api: Api) -> None:
    for operation in api.operations():
        for kind, schema in _contents(operation):
            if kind == "application/json":
                assert api.resolved(schema)["type"] == "object", operation.name


def test_h2_commands_refuse_unknown_fields(api: Api) -> None:
    for operation in api.operations():
        body = api.bodies(operation).get("application/json")
        if body is not None:
            schema = api.resolved(body)
            keyed = "patternProperties" in schema  # a map; Pydantic refuses other keys
            assert keyed or schema.get("additionalProperties") is False, operation.name


def test_h3_names_are_snake_case_and_paths_kebab_case(api: Api) -> None:
    for operation in api.operations():
        for word in operation.path.strip("/").split("/"):
            if not word.startswith("{"):
                assert word == word.lower().replace("_", "-"), operation.path
    for name, schema in api.schemas.items():
        for field in schema.get("properties", {}):
            assert field == field.lower().replace("-", "_"), f"{name}.{field}"


def test_h4_no_enum_of_an_answer_is_closed(api: Api) -> None:
    """And of what is sent, none is open."""
    told = {name for each in api.operations() for name in _named(api, each.described["responses"])}
    sent = {name for each in api.operations() for name in _named(api, _asked(each))}
    closed = [place for name in told - sent for place, _ in _enums(name, api.schemas[name], "enum")]
    assert closed == []
    assert [name for name in told & sent if "properties" in api.schemas[name]] == []
    opened = [place for name in sent for place, _ in _enums(name, api.schemas[name], OPENED)]
    assert opened == []


def test_h4_an_open_enum_lists_what_is_known(api: Api) -> None:
    found = {
        place: part[OPENED]
        for name, schema in api.schemas.items()
        for place, part in _enums(name, schema, OPENED)
    }
    assert found["IncidentView.state"] == [state.value for state in State]
    assert len(found) > 20
    assert [place for place, known in found.items() if not known] == []


def test_h5_every_list_is_a_page(api: Api) -> None:
    for operation in api.operations():
        answer = operation.described["responses"].get("200", {}).get("content", {})
        schema = api.resolved(answer.get("application/json", {}).get("schema", {}))
        if "items" in schema.get("properties", {}):
            assert "next" in schema["properties"], operation.name


def test_h12_no_secret_travels_in_a_url(api: Api) -> None:
    """Addresses end up in logs. A file's signature is good for one file and for minutes."""
    secret = re.compile(r"token|passw|secret|credential|signature|api_?key|ticket", re.IGNORECASE)
    found = {
        (operation.name, parameter["name"])
        for operation in api.operations()
        for parameter in operation.parameters
        if parameter["in"] in {"query", "path"} and secret.search(parameter["name"])
    }
    signed = {"download_file", "examine_file", "download_export"}
    assert found == {(name, "signature") for name in signed}


def test_no_two_shapes_share_a_name(api: Api) -> None:
    assert not [name for name in api.schemas if "__" in name]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "integer", "minimum": 0},
        {"type": "array", "items": {"type": "string", "maxLength": 1}},
        {"type": "object", "additionalProperties": True},
        {"anyOf": [{"type": "number"}, {"type": "null"}]},
    ],
)
def test_an_unbounded_schema_is_found(schema: Json) -> None:
    assert any(_is_loose(part) for _, part in _parts("here", schema))


def _schemas(api: Api) -> Iterator[tuple[str, Json]]:
    yield from api.schemas.items()
    for operation in api.operations():
        for parameter in operation.parameters:
            yield f"{operation.name}?{parameter['name']}", parameter["schema"]
        for kind, schema in _contents(operation):
            yield f"{operation.name} {kind}", schema


def _contents(operation: Operation) -> Iterator[tuple[str, Json]]:
    for kind, media in operation.described.get("requestBody", {}).get("content", {}).items():
        yield kind, media["schema"]
    for status, response in operation.described["responses"].items():
        for kind, media in response.get("content", {}).items():
            if media.get("schema"):
                yield kind if kind == "application/json" else f"{status} {kind}", media["schema"]


def _asked(operation: Operation) -> list[Any]:
    return [operation.described.get("requestBody"), operation.parameters]


def _named(api: Api, node: Any) -> set[str]:
    """Every schema that a part of the description leads to."""
    found: set[str] = set()
    waiting = re.findall(r"#/components/schemas/(\w+)", json.dumps(node))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += re.findall(r"#/components/schemas/(\w+)", json.dumps(api.schemas[name]))
    return found


def _enums(name: str, schema: Json, keyword: str) -> Iterator[tuple[str, Json]]:
    return ((place, part) for place, part in _parts(name, schema) if keyword in part)


def _loose(api: Api) -> list[str]:
    found = [
        place
        for name, schema in _schemas(api)
        for place, part in _parts(name, schema)
        if _is_loose(part)
    ]
    return list(dict.fromkeys(found))


def _parts(place: str, schema: Json) -> Iterator[tuple[str, Json]]:
    yield place, schema
    for choice in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for part in schema.get(choice, []):
            yield from _parts(place, part)
    for name, part in schema.get("properties", {}).items():
        yield from _parts(f"{place}.{name}", part)
    for part in schema.get("patternProperties", {}).values():
        yield from _parts(place + "{}", part)
    for key, sign in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(key), dict):
            yield from _parts(place + sign, schema[key])


def _is_loose(schema: Json) -> bool:
    if "enum" in schema or "const" in schema:
        return False
    match schema.get("type"):
        case "string":
            return "maxLength" not in schema and "format" not in schema
        case "array":
            return "maxItems" not in schema
        case "integer" | "number":
            return not {"minimum", "maximum"} <= set(schema)
        case "object":
            return schema.get("additionalProperties") is True
        case _:
            return False
