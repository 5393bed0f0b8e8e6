"""The OpenAPI document, walked: operations, schemas, and the smallest body a schema allows."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

METHODS = ("get", "put", "post", "delete", "patch", "head")
SAMPLES = {
    "uuid": "0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a11",
    "date-time": "2026-03-11T04:00:00Z",
    "date": "2026-03-11",
    "binary": "x",
}
PATTERNS = (
    "x",
    "1",
    "01",
    "0201",
    "08:30",
    "0" * 64,
    "+8613900000000",
    "abc-1",
    "submitted",
    "10.20.0.0/16",
)
"""Words tried for a string that has a pattern."""


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    described: Json

    @property
    def name(self) -> str:
        return str(self.described["operationId"])

    @property
    def permission(self) -> str | None:
        return self.described.get("x-permission")

    @property
    def public(self) -> bool:
        return not self.described["security"]

    @property
    def parameters(self) -> list[Json]:
        return list(self.described.get("parameters", []))

    @property
    def placeholders(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.path)


class Api:
    def __init__(self, document: Json) -> None:
        self.document = document
        self.schemas: Json = document["components"]["schemas"]

    def operations(self) -> Iterator[Operation]:
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    yield Operation(method, path, item[method])

    def named(self, name: str) -> Operation:
        return next(operation for operation in self.operations() if operation.name == name)

    def bodies(self, operation: Operation) -> Json:
        """Content type → schema of the request's body."""
        content = operation.described.get("requestBody", {}).get("content", {})
        return {kind: media["schema"] for kind, media in content.items()}

    def resolved(self, schema: Json) -> Json:
        while "$ref" in schema:
            schema = self.schemas[schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def smallest(self, schema: Json) -> Any:
        """A valid value with nothing in it that could be left out."""
        schema = self.resolved(schema)
        if "const" in schema or "enum" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        for choice in ("anyOf", "oneOf", "allOf"):
            if choice in schema:
                return self.smallest(schema[choice][0])
        return self._smallest_of_type(schema)

    def _smallest_of_type(self, schema: Json) -> Any:
        match schema.get("type"):
            case "object":
                return self._smallest_object(schema)
            case "array":
                return self._smallest_array(schema)
            case "integer" | "number":
                return schema.get("minimum", 1)
            case "boolean":
                return False
            case _:
                return _smallest_string(schema)

    def _smallest_array(self, schema: Json) -> list[Any]:
        if "prefixItems" in schema:
            return [self.smallest(each) for each in schema["prefixItems"]]
        return [self.smallest(schema["items"]) for _ in range(schema.get("minItems", 0))]

    def _smallest_object(self, schema: Json) -> Json:
        properties: Mapping[str, Json] = schema.get("properties", {})
        return {name: self.smallest(properties[name]) for name in schema.get("required", [])}


def _smallest_string(schema: Json) -> str:
    sample = SAMPLES.get(str(schema.get("format")))
    if sample is not None:
        return sample
    pattern = schema.get("pattern", "")
    least = int(schema.get("minLength", 1))
    for word in PATTERNS:
        padded = word * max(1, -(-least // len(word)))
        if re.search(pattern, padded) and len(padded) <= schema.get("maxLength", 10**6):
            return padded
    raise AssertionError(f"no sample matches {pattern}: add one to PATTERNS")
