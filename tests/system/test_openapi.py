from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.system.openapi import describe


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def _operation(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    operation: dict[str, Any] = document["paths"][path][method]
    return operation


def test_two_operations_with_one_name_are_refused(app: FastAPI) -> None:
    again = APIRouter()

    @again.get("/elsewhere")
    async def add_book() -> None: ...

    app.include_router(again)
    with pytest.warns(UserWarning, match="Duplicate"), pytest.raises(ValueError, match="add_book"):
        describe(app)


def test_h16_the_document_is_valid(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"] == "3.1.0"
    assert document["info"]["title"] == "综治E通"
    assert document["info"]["version"] == "1.2.3"
    assert document["servers"] == [{"url": "/"}]


def test_h1_the_frameworks_own_shape_is_gone(document: dict[str, Any]) -> None:
    assert "ValidationError" not in str(document)
    refused = _operation(document, "post", "/v1/books")["responses"]["422"]
    assert refused["x-codes"] == ["validation-failed"]
    schema = {"$ref": "#/components/schemas/Problem"}
    assert refused["content"] == {"application/problem+json": {"schema": schema}}


def test_every_operation_is_named_after_its_function(document: dict[str, Any]) -> None:
    names = {o["operationId"] for item in document["paths"].values() for o in item.values()}
    assert names == {
        "issue_token",
        "show_book",
        "add_book",
        "change_book",
        "list_shelves",
        "show_liveness",
        "show_readiness",
        "show_health",
    }


def test_security_says_what_the_code_does(document: dict[str, Any]) -> None:
    signed_in: list[dict[str, list[str]]] = [{"password": []}, {"bearer": []}]
    assert _operation(document, "get", "/v1/books/{number}")["security"] == signed_in
    assert _operation(document, "get", "/health/detail")["security"] == signed_in
    assert _operation(document, "post", "/v1/token")["security"] == []
    assert _operation(document, "get", "/health/live")["security"] == []
    assert _operation(document, "get", "/v1/shelves")["security"] == []
    schemes = document["components"]["securitySchemes"]
    assert schemes["password"]["flows"]["password"]["tokenUrl"] == "/v1/token"
    assert schemes["bearer"]["scheme"] == "bearer"


def test_refusals_carry_their_codes(document: dict[str, Any]) -> None:
    responses = _operation(document, "get", "/v1/books/{number}")["responses"]
    assert responses["404"]["x-codes"] == ["not-found"]
    assert "unauthenticated" in responses["401"]["x-codes"]
    assert "default" in responses
    public = _operation(document, "get", "/health/ready")["responses"]
    assert public["503"]["x-codes"] == ["not-ready"]
    assert "401" not in public


def test_h1_what_is_refused_before_a_route_is_documented_too(document: dict[str, Any]) -> None:
    codes = _codes(_operation(document, "post", "/v1/books"))
    assert codes["400"] >= {"malformed-json"}
    assert codes["401"] == {"unauthenticated", "token-invalid", "token-expired", "session-ended"}
    assert codes["403"] == {"password-change-required"}
    assert codes["413"] == {"payload-too-large", "compressed-too-much"}
    assert codes["415"] == {"content-encoding-refused"}
    assert codes["422"] >= {"validation-failed"}
    assert codes["429"] == {"too-many-requests"}


def test_h1_a_route_with_refusals_of_its_own_is_validated_too(document: dict[str, Any]) -> None:
    codes = _codes(_operation(document, "put", "/v1/books/{number}"))
    assert codes["422"] >= {"not-a-book", "validation-failed"}


def test_i11_the_key_of_an_unsafe_operation_is_documented(document: dict[str, Any]) -> None:
    keyed, plain = (_operation(document, "put", "/v1/books/{number}"), "post /v1/books")
    (key,) = [each for each in keyed["parameters"] if each["in"] == "header"]
    assert (key["name"], key["required"]) == ("Idempotency-Key", False)
    assert _codes(keyed)["400"] >= {"operation-key-malformed"}
    assert _codes(keyed)["422"] >= {"operation-key-reused"}
    assert "parameters" not in _operation(document, *plain.split())


def test_s9_a_conditional_answer_is_documented(document: dict[str, Any]) -> None:
    assert "304" in _operation(document, "get", "/v1/shelves")["responses"]
    assert "304" not in _operation(document, "get", "/v1/books/{number}")["responses"]


def _codes(operation: dict[str, Any]) -> dict[str, set[str]]:
    responses = operation["responses"].items()
    return {status: set(response.get("x-codes", [])) for status, response in responses}


def test_h13_the_problem_schema_is_bounded(document: dict[str, Any]) -> None:
    def bounded(schema: dict[str, Any]) -> bool:
        kind = schema.get("type")
        if kind == "string":
            return "maxLength" in schema
        if kind == "array":
            return "maxItems" in schema and bounded(schema["items"])
        return all(bounded(each) for each in schema.get("properties", {}).values())

    assert bounded(document["components"]["schemas"]["Problem"])


def test_the_document_is_made_once(app: FastAPI, document: dict[str, Any]) -> None:
    assert app.openapi() is document
