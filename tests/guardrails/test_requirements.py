"""Every numbered requirement that is promised has a test of its name (`test_f2_i3_…`)."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.guardrails.conftest import ROOT
from tests.guardrails.test_sizes import functions

UPLOADS = [f"u{n}" for n in (*range(1, 16), *range(17, 22), 23)]
INTAKE = [f"m{n}" for n in range(1, 17)]
IDEMPOTENCY = [f"i{n}" for n in range(1, 12)]
CONVENTIONS = [f"h{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 13, 14)]
PUSH = [*(f"p{n}" for n in range(1, 14)), "p15"]
WEBHOOKS = [f"w{n}" for n in (*range(1, 15), 16, 17, 18)]
PROMISES = [f"r{n}" for n in range(1, 10)]
FAULTS = [f"f{n}" for n in (*range(1, 23), 24, *range(26, 31))]
INVARIANTS = [f"v{n}" for n in range(1, 9)]
PROMISED = [
    *UPLOADS,
    *INTAKE,
    *IDEMPOTENCY,
    *CONVENTIONS,
    *PUSH,
    *WEBHOOKS,
    *PROMISES,
    *FAULTS,
    *INVARIANTS,
]
"""Of the design's protocols (§1-3, §5-7), promises, faults and invariants: what is done."""

_ID = re.compile(r"[mihrfvuspw]\d+")


@cache
def _proven() -> frozenset[str]:
    names = (name for path in (ROOT / "tests").rglob("test_*.py") for name in _tests(path))
    return frozenset(each for name in names for each in _ids(name))


def _tests(path: Path) -> Iterator[str]:
    for function in functions(path):
        if function.name.startswith("test_"):
            yield function.name


def _ids(name: str) -> Iterator[str]:
    """Those at its beginning, one after the other: `f13_f16` of `test_f13_f16_a_relay_…`."""
    for word in name.removeprefix("test_").split("_"):
        if not _ID.fullmatch(word):
            return
        yield word


def test_every_promised_requirement_has_a_test_of_its_name() -> None:
    missing = [each.upper() for each in PROMISED if each not in _proven()]
    assert missing == [], f"name a test after each: test_{missing[0].lower()}_…"


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("test_m4_truncated_body_leaves_nothing", ["m4"]),
        ("test_f2_i3_fifty_identical_posts_give_one_row", ["f2", "i3"]),
        ("test_a_m4_in_the_middle_is_none", []),
    ],
)
def test_ids_stand_at_the_beginning_of_a_name(name: str, ids: list[str]) -> None:
    assert list(_ids(name)) == ids
