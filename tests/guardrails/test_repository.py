"""What is committed: locked with digests, and free of addresses and of anybody's machine."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.guardrails.conftest import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock")
REGISTRIES = (
    ("pypi", ".org"),
    ("files.python", "hosted.org"),
    ("registry.npm", "js.org"),
    ("proxy.go", "lang.org"),
    ("crates", ".io"),
    ("mirrors", "\\."),
)
MACHINES = (
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/home", "/[a-z]"),
    ("/Us", "ers/"),
)
"""In pieces, so that this file does not find itself."""
ADDRESSES = re.compile("|".join(before + after for before, after in REGISTRIES + MACHINES))
VENDORED = "app/system/assets/"
"""Bundles of others with addresses in their texts; the pages' policy lets none of them be asked."""
TEXT = {".py", ".toml", ".md", ".lock", ".ini", ".mako", ".json", ".yml", ".yaml", ".css", ".csv"}


def _texts(tracked: list[Path]) -> list[Path]:
    named = [path for path in tracked if path.suffix in TEXT or not path.suffix]
    return [path for path in named if not str(path.relative_to(ROOT)).startswith(VENDORED)]


def test_no_file_names_a_registry_or_a_machine(tracked: list[Path]) -> None:
    found = []
    for path in _texts(tracked):
        text = path.read_text(errors="replace")
        name = path.relative_to(ROOT)
        found += [f"{name}: {match[0]}" for match in ADDRESSES.finditer(text)]
    assert not found


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_a_version_and_a_digest(name: str) -> None:
    packages = re.split(r"\n(?=[a-z0-9])", _uncommented(name))
    assert len(packages) > 20
    for package in packages:
        assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", package), package[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", package), package[:80]
        assert "://" not in package, package[:80]


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for name, asked in _asked(project).items():
        locked = set(re.findall(r"^([a-z0-9._-]+)", _uncommented(name), re.MULTILINE))
        assert asked <= locked, asked - locked


def _asked(project: dict[str, Any]) -> dict[str, set[str]]:
    always, groups = project["project"]["dependencies"], project["dependency-groups"]
    embedded = project["project"]["optional-dependencies"]["embedded"]
    return {
        LOCKS[0]: _names([*always, *embedded, *groups["build"]]),
        LOCKS[1]: _names([*always, *groups["dev"]]),
    }


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=; ]", each)[0].lower() for each in requirements}


def _uncommented(name: str) -> str:
    lines = (ROOT / name).read_text().splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.strip().startswith("#"))
