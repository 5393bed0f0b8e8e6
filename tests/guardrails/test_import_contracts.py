"""The import contracts see everything: lint-imports judges, this looks for what it was not told."""

import tomllib
from typing import Any

import pytest

from tests.guardrails.conftest import ROOT

NO_FEATURES = {
    "core": "no domain words, its own order",
    "embedded": "launchers, no routes and no tables",
    "simulation": "clients of the server, not a part of it",
}


@pytest.fixture(scope="module")
def contracts() -> dict[str, dict[str, Any]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = project["tool"]["importlinter"]["contracts"]
    return {contract["name"]: contract for contract in listed}


def test_every_package_of_the_application_has_its_place(
    contracts: dict[str, dict[str, Any]],
) -> None:
    assert contracts["Imports only point down"]["exhaustive"] is True
    packages = {path.parent.name for path in (ROOT / "app").glob("*/__init__.py")}
    containers = contracts["Inside a feature too"]["containers"]
    ordered = {name.removeprefix("app.") for name in containers}
    assert packages - set(NO_FEATURES) == ordered


def test_every_router_is_protected_and_may_use_the_framework(
    contracts: dict[str, dict[str, Any]],
) -> None:
    parts = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "app").glob("*/*_router.py")
    }
    protected = contracts["Routers are mounted by main, and only there"]["protected_modules"]
    allowed = contracts["The web framework stays at the edge"]["ignore_imports"]
    assert parts <= set(protected)
    assert {f"{part} -> fastapi" for part in parts} <= set(allowed)
