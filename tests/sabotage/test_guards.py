"""The list itself: that its edits still fit, and its tests are still called so."""

from pathlib import Path

import pytest

from tests.sabotage.guard import EditDoesNotFit, Guard, guard
from tests.sabotage.guards import GUARDS, TEN

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("words", ["no such words", "def "])
def test_an_edit_that_does_not_fit_exactly_once_is_refused(words: str) -> None:
    moved = guard("moved", "main.py", words, "", "core/test_errors.py")
    with pytest.raises(EditDoesNotFit, match="moved"):
        moved.sabotaged(ROOT)


@pytest.mark.parametrize("each", GUARDS, ids=lambda each: each.name)
def test_every_guard_stands_where_it_is_looked_for(each: Guard) -> None:
    assert each.sabotaged(ROOT) != (ROOT / each.file).read_text("utf-8")


@pytest.mark.parametrize("each", GUARDS, ids=lambda each: each.name)
def test_every_guard_names_tests_that_exist(each: Guard) -> None:
    for test in each.tests:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text("utf-8") or not name


def test_names_are_taken_once_and_the_ten_are_known() -> None:
    names = [each.name for each in GUARDS]
    assert len(set(names)) == len(names)
    assert len(TEN) == 10
    assert set(TEN) <= set(names)
