"""The API's description: FastAPI's document, made to say what the server really does."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts

from app.accounts.dependencies import identify, identify_signed_in
from app.core.errors import PROBLEM_JSON
from app.core.http import begin
from app.core.idempotency import MOST_CHARACTERS, KeyMalformed, KeyReused
from app.system.open_enums import open_enums

Json = dict[str, Any]

TITLE = "综治E通"
DESCRIPTION = """\
网格员用手机上报事件，事件按村（社区）、乡镇（街道）、区县逐级流转办理，结果回到上报人。

Grid workers report matters from their phones; matters travel village → township → district, and
every outcome comes back to its reporter.

- Errors are `application/problem+json` (RFC 9457); `code` never changes, `detail` is in the
  language of `Accept-Language` (`zh-CN`, `en`). Every code is explained under `/problems`.
- Lists are `{"items": […], "next": cursor}`; pass `cursor` back for the next page.
- Times are RFC 3339 in UTC, durations are seconds, every point names its `datum`.
- Clients ignore response fields and enum values they do not know.
"""
SCHEMAS = "x-schemas"
"""A route that reads its own body names the schemas it refers to here, in its `openapi_extra`."""
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_FORMATS = {"integer": "int64", "number": "double"}
_SECURITY: list[dict[str, list[str]]] = [{"password": []}, {"bearer": []}]
_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes a repeat safe: it gets the first 2xx answer again, for 90 days.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS},
}
_SCHEMES: Json = {
    "password": {
        "type": "oauth2",
        "description": "People: name and password. Platforms: client credentials.",
        "flows": {
            "password": {"tokenUrl": "/v1/token", "refreshUrl": "/v1/token", "scopes": {}},
            "clientCredentials": {"tokenUrl": "/v1/token", "scopes": {}},
        },
    },
    "bearer": {"type": "http", "scheme": "bearer", "description": "An access token, ≤ 15 minutes."},
}
_PROBLEM: Json = {
    "type": "object",
    "description": "A refusal (RFC 9457). Members beyond these depend on `code`.",
    "required": ["type", "title", "status", "detail", "instance", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "maxLength": 200},
        "title": {"type": "string", "maxLength": 200},
        "status": {"type": "integer", "format": "int32", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "maxLength": 2000},
        "instance": {"type": "string", "format": "uri", "maxLength": 200},
        "code": {"type": "string", "maxLength": 100, "pattern": "^[a-z0-9-]+$"},
        "errors": {
            "type": "array",
            "maxItems": 50,
            "items": {
                "type": "object",
                "required": ["pointer", "code", "message"],
                "properties": {
                    "pointer": {"type": "string", "maxLength": 200},
                    "code": {"type": "string", "maxLength": 100},
                    "message": {"type": "string", "maxLength": 2000},
                },
            },
        },
    },
    "examples": [
        {
            "type": "/problems/not-found",
            "title": "Not found",
            "status": 404,
            "detail": "没有找到所请求的内容",
            "instance": "urn:request:0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a11",
            "code": "not-found",
        }
    ],
}


def enrich(app: FastAPI) -> None:
    """Replace the application's generator. Called once, after every router is mounted.

    An operation is public when nobody is identified before it, or when its route says
    `openapi_extra={"security": []}`; every other one asks for a token.
    """

    def openapi() -> Json:
        if not app.openapi_schema:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def describe(app: FastAPI) -> Json:
    """The whole document. Raises ValueError when two operations share an id."""
    document = get_openapi(
        title=TITLE,
        version=app.version,
        openapi_version="3.1.0",
        description=DESCRIPTION,
        routes=app.routes,
        webhooks=app.webhooks.routes,
        tags=app.openapi_tags,
        servers=[{"url": "/"}],
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SCHEMES
    schemas = components.setdefault("schemas", {})
    for generated in ("HTTPValidationError", "ValidationError"):
        schemas.pop(generated, None)
    schemas["Problem"] = _PROBLEM
    _complete_operations(app, document)
    open_enums(document)
    for _, _, operation in _operations(document.get("webhooks", {})):
        # ours are the requests: what a platform answers is its own affair
        operation["responses"].pop("422", None)
        operation["security"] = []
    _name_formats(document)
    return document


def _complete_operations(app: FastAPI, document: Json) -> None:
    routes = {
        (context.path_format, method.lower()): context
        for context in iter_route_contexts(app.routes)
        for method in context.methods or ()
    }
    seen: set[str] = set()
    for path, method, operation in _operations(document["paths"]):
        name = operation["operationId"]
        if name in seen:
            raise ValueError(f"two operations are called {name}")
        seen.add(name)
        document["components"]["schemas"].update(operation.pop(SCHEMAS, {}))
        _complete(operation, getattr(routes.get((path, method)), "dependant", None))


def _operations(paths: Mapping[str, Json]) -> Iterator[tuple[str, str, Json]]:
    for path, item in paths.items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _asks(dependant: Dependant | None, *wanted: Callable[..., Any]) -> bool:
    """Whether one of these stands before the handler."""
    if dependant is None:
        return False
    return dependant.call in wanted or any(_asks(each, *wanted) for each in dependant.dependencies)


def _add_what_a_token_may_lack(responses: Json) -> None:
    for code in ("unauthenticated", "token-invalid", "token-expired", "session-ended"):
        _add_code(responses, "401", code)
    _add_code(responses, "429", "too-many-requests")


def _permission(dependant: Dependant) -> str | None:
    """What `require` demands before the handler; the deepest answer is the only one."""
    found = [getattr(dependant.call, "permission", None), *map(_permission, dependant.dependencies)]
    return next((str(permission) for permission in found if permission), None)


def _complete(operation: Json, dependant: Dependant | None) -> None:
    identified = _asks(dependant, identify, identify_signed_in)
    operation.setdefault("security", _SECURITY if identified else [])
    responses = operation["responses"]
    if "application/json" in responses.get("422", {}).get("content", {}):
        _remove_generated(responses)
    if _asks(dependant, begin):
        _add_key(operation)
    _add_what_the_framework_answers(operation)
    if operation["security"]:
        _add_what_a_token_may_lack(responses)
    if _asks(dependant, identify):
        _add_code(responses, "403", "password-change-required")
    permission = _permission(dependant) if dependant else None
    if permission:
        operation["x-permission"] = permission
        _add_code(responses, "403", "forbidden")
    responses.setdefault("default", _refusal("Any other refusal"))


def _add_key(operation: Json) -> None:
    """`begin` reads the header by itself: no signature tells the framework of it."""
    operation.setdefault("parameters", []).append(_KEY)
    for kind in (KeyMalformed, KeyReused):
        _add_code(operation["responses"], str(kind.status), kind.code)


def _remove_generated(responses: Json) -> None:
    """FastAPI describes its own shape of a failed validation, which is never sent."""
    schema = responses["422"]["content"]["application/json"].get("schema", {})
    if schema.get("$ref", "").endswith("/HTTPValidationError"):
        del responses["422"]


def _add_what_the_framework_answers(operation: Json) -> None:
    """Before a route is asked: what is read for it may be wrong, too much, or no JSON at all."""
    responses, body = operation["responses"], operation.get("requestBody", {}).get("content", {})
    asked = {parameter["name"].lower() for parameter in operation.get("parameters", [])}
    if asked or body:
        _add_code(responses, "422", "validation-failed")
    if body:
        _add_code(responses, "413", "payload-too-large")
        _add_code(responses, "415", "content-encoding-refused")
    if "application/json" in body:
        _add_code(responses, "400", "malformed-json")
        _add_code(responses, "400", "malformed-encoding")
        _add_code(responses, "413", "compressed-too-much")
    if "if-none-match" in asked:
        responses.setdefault("304", {"description": "Nothing has changed since that ETag"})


def _add_code(responses: Json, status: str, code: str) -> None:
    entry = responses.setdefault(status, _refusal(""))
    codes = entry.setdefault("x-codes", [])
    if code not in codes:
        codes.append(code)
        entry["description"] = " · ".join(f"`{each}`" for each in codes)


def _refusal(description: str) -> Json:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {PROBLEM_JSON: {"schema": schema}}}


def _name_formats(node: Any) -> None:  # noqa: ANN401 - any part of a JSON document
    """Generators of clients choose their number types by `format` (H13)."""
    if isinstance(node, dict):
        kind = node.get("type")
        if isinstance(kind, str) and kind in _FORMATS:
            node.setdefault("format", _FORMATS[kind])
        for part in node.values():
            _name_formats(part)
    elif isinstance(node, list):
        for part in node:
            _name_formats(part)
