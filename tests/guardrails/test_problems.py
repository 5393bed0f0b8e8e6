"""Refusals: one code each, in both languages, and nothing in the description that is not one."""

import re
from string import Formatter

import pytest

from app.core.errors import Problem
from tests.guardrails.api import Api

HAN = re.compile(r"[一-鿿]")
KINDS = sorted(Problem.registry.values(), key=lambda kind: kind.code)


def product() -> list[type[Problem]]:
    """Without the kinds that tests make for themselves."""
    return [kind for kind in KINDS if kind.__module__.startswith("app.")]


@pytest.mark.parametrize("kind", product(), ids=lambda kind: kind.code)
def test_every_problem_speaks_both_languages(kind: type[Problem]) -> None:
    assert HAN.search(kind.zh), "zh says nothing in Chinese"
    assert kind.en
    assert not HAN.search(kind.en)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", kind.code)
    assert 400 <= kind.status < 600
    assert _placeholders(kind.zh) == _placeholders(kind.en)


def test_a_code_is_taken_once() -> None:
    with pytest.raises(TypeError, match="is taken"):

        class Again(Problem, status=404, code="not-found", zh="没有", en="None"): ...


def test_the_description_names_only_codes_that_exist(api: Api) -> None:
    named = {
        (int(status), code)
        for operation in api.operations()
        for status, response in operation.described["responses"].items()
        for code in response.get("x-codes", [])
    }
    known = {(kind.status, kind.code) for kind in product()}
    assert named <= known


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}
