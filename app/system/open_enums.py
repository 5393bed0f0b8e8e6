"""Enums of answers are open (H4): a new value must not break a client, so none are closed.

`enum` says that nothing else may come. What a client sends stays closed; what it is told becomes
`x-extensible-enum` (Zalando 112), whose known values are listed all the same.
"""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

_LONGEST = 100
_REFERENCE = "#/components/schemas/"


def open_enums(document: Json) -> None:
    """Open every enum of a schema that is only answered with; an enum that is both is copied in."""
    schemas: Json = document["components"]["schemas"]
    operations = [
        operation
        for item in document["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)
    ]
    sent = [[each.get("requestBody"), each.get("parameters")] for each in operations]
    closed = _reached(sent, schemas)
    for name in _reached([each.get("responses") for each in operations], schemas) - closed:
        schemas[name] = _opened(schemas[name], schemas, closed)


def _reached(node: Any, schemas: Json) -> set[str]:  # noqa: ANN401 - any part of a JSON document
    """Names of the schemas that this part leads to."""
    found: set[str] = set()
    waiting = list(_references(node))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(schemas[name])
    return found


def _references(node: Any) -> Iterator[str]:  # noqa: ANN401 - any part of a JSON document
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].removeprefix(_REFERENCE)
        for part in node.values():
            yield from _references(part)
    elif isinstance(node, list):
        for part in node:
            yield from _references(part)


def _opened(node: Any, schemas: Json, closed: set[str]) -> Any:  # noqa: ANN401 - as above
    if isinstance(node, list):
        return [_opened(part, schemas, closed) for part in node]
    if not isinstance(node, dict):
        return node
    name = node.get("$ref", "").removeprefix(_REFERENCE)
    if name in closed and "enum" in schemas[name]:
        return _opened(schemas[name], schemas, closed)
    opened = {key: _opened(part, schemas, closed) for key, part in node.items() if key != "enum"}
    if "enum" in node:
        opened |= {"maxLength": _LONGEST, "x-extensible-enum": list(node["enum"])}
    return opened
