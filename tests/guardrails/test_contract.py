"""mobile_contract/ says what the server does (`pytest tests/guardrails --write-contract`)."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.incidents.status import AUTOMATIC, Action, Happening
from tests.guardrails.api import Api
from tests.guardrails.conftest import ROOT
from tests.guardrails.contract import (
    SPECIAL,
    errors_text,
    example_texts,
    openapi_text,
    product_problems,
)
from tests.guardrails.story import Story

CONTRACT = ROOT / "mobile_contract"
EXAMPLES = CONTRACT / "examples"
AGAIN = "the contract changed: write it with --write-contract, and say so in CHANGELOG.md"


def _same(path: Path, text: str, *, writing: bool) -> None:
    if writing:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text, AGAIN


def test_openapi_is_the_mobile_contract(document: dict[str, Any], *, writing: bool) -> None:
    _same(CONTRACT / "openapi.json", openapi_text(document), writing=writing)


def test_h16_the_description_is_valid(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_every_reference_of_the_description_leads_somewhere(document: dict[str, Any]) -> None:
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert named <= set(document["components"]["schemas"])


def test_errors_md_lists_every_code(document: dict[str, Any], *, writing: bool) -> None:
    _same(CONTRACT / "errors.md", errors_text(document), writing=writing)


def test_every_special_advice_belongs_to_a_code() -> None:
    assert set(SPECIAL) <= {kind.code for kind in product_problems()}


def test_the_readme_tells_who_may_do_what_and_what_happens_by_itself() -> None:
    told = (CONTRACT / "README.md").read_text("utf-8")
    automatic = [row.action for row in AUTOMATIC if row.action is not Happening.OVERDUE]
    assert [each for each in (*Action, *automatic) if f"`{each}`" not in told] == []


async def test_the_examples_are_what_the_server_answers(told: Story, *, writing: bool) -> None:
    texts = example_texts(told.recorder.stable())
    if writing:
        for path in EXAMPLES.glob("*.json"):
            path.unlink()
    for name, text in texts.items():
        _same(EXAMPLES / name, text, writing=writing)
    assert {path.name for path in EXAMPLES.glob("*.json")} == set(texts), AGAIN


async def test_every_example_fits_the_description(told: Story, api: Api) -> None:
    for name, example in told.recorder.stable().items():
        operation = _operation(api, example["request"])
        status = str(example["response"]["status"])
        responses = operation["responses"]
        described = responses.get(status) or responses["default"]
        kind = example["response"]["headers"].get("content-type", "").partition(";")[0]
        if "json" not in kind:
            continue
        schema = described["content"][kind]["schema"]
        found = list(_validator(api, schema).iter_errors(example["response"]["body"]))
        assert not found, f"{name}: {found[0].message}"


async def test_every_refusal_of_an_example_is_declared(told: Story, api: Api) -> None:
    for name, example in told.recorder.stable().items():
        body = example["response"]["body"]
        if example["response"]["status"] < 400:
            continue
        responses = _operation(api, example["request"])["responses"]
        declared = responses.get(str(example["response"]["status"]), {}).get("x-codes", [])
        assert body["code"] in declared, f"{name}: responses=problems(…) lacks {body['code']}"


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "errors.md", "openapi.json"])
def test_the_contract_is_whole(name: str) -> None:
    assert (CONTRACT / name).read_text().strip()


def test_the_readme_names_only_what_exists(api: Api) -> None:
    """Paths in the prose are paths of the description, examples are files."""
    text = (CONTRACT / "README.md").read_text()
    known = {re.sub(r"\{\w+\}", "{}", operation.path) for operation in api.operations()}
    for path in re.findall(r"`(?:GET|POST|PUT|PATCH|DELETE) (/v1[^`?\s]*)", text):
        assert re.sub(r"\{\w+\}", "{}", path) in known, path
    for name in re.findall(r"examples/([\w-]+\.json)", text):
        assert (EXAMPLES / name).is_file(), name


def _operation(api: Api, request: dict[str, Any]) -> dict[str, Any]:
    path = request["path"].partition("?")[0]
    matching = [
        operation
        for operation in api.operations()
        if operation.method == request["method"].lower()
        and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", operation.path), path)
    ]
    return min(matching, key=lambda operation: operation.path.count("{")).described


def _validator(api: Api, schema: dict[str, Any]) -> OAS31Validator:
    return OAS31Validator({**schema, "components": {"schemas": api.schemas}})
