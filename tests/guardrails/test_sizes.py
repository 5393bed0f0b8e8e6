"""Short functions, short files, names of the field, tests that assert something."""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import pytest

from tests.guardrails.conftest import ROOT

FORBIDDEN = {
    "base",
    "common",
    "handlers",
    "helper",
    "helpers",
    "manager",
    "misc",
    "repository",
    "service",
    "services",
    "shared",
    "types",
    "util",
    "utils",
}
MOST_LINES = {"app": 300, "tests": 450}
"""A feature's cases read better in one place than cut in two."""

NOT_RAISING_IS_THE_POINT = {
    "test_files_still_expected_need_no_object",
    "test_h16_the_description_is_valid",
    "test_m12_sniffing_never_fails",
    "test_m5_extended_names_never_fail",
}

SOURCES = sorted((ROOT / "app").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
EVERY = pytest.mark.parametrize("path", SOURCES + TESTS, ids=lambda p: str(p.relative_to(ROOT)))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    return (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, Function))


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def test_functions_are_short() -> None:
    lengths = [length(function) for path in SOURCES for function in functions(path)]
    assert median(lengths) <= 10
    assert quantiles(lengths, n=20)[-1] <= 40


@EVERY
def test_a_file_is_short_and_named_after_the_field(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES[path.relative_to(ROOT).parts[0]]
    assert not {*path.relative_to(ROOT).parts[:-1], path.stem} & FORBIDDEN


def test_every_package_has_its_card() -> None:
    for path in (ROOT / "app").glob("*/__init__.py"):
        card = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert card.count("\n") >= 2, f"{path}: owns, promises, never"


def test_no_test_is_without_an_assertion() -> None:
    everything = {id(f): f for path in TESTS for f in functions(path)}.values()
    asserting = {f.name for f in everything if _asserts(f, frozenset())}
    while more := {
        f.name for f in everything if f.name not in asserting and _asserts(f, frozenset(asserting))
    }:
        asserting |= more
    tests = {function.name for function in everything if function.name.startswith("test_")}
    assert tests - asserting == set(NOT_RAISING_IS_THE_POINT)


@pytest.mark.parametrize(
    ("body", "expected"),
    [("print(1)", False), ("assert x", True), ("with pytest.raises(E): f()", True), ("f()", False)],
)
def test_an_assertion_is_recognised(body: str, *, expected: bool) -> None:
    function = ast.parse(f"def test_x():\n    {body}").body[0]
    assert isinstance(function, ast.FunctionDef)
    assert _asserts(function, frozenset()) is expected


def _asserts(function: Function, asserting: frozenset[str]) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        called = node.func if isinstance(node, ast.Call) else None
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name in asserting | {"raises", "warns", "fail"}:
            return True
    return False
