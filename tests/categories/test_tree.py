"""The tree as a snapshot, without a database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.categories.errors import CategoryUnknown
from app.categories.queries import CategoryNode, CategoryTree

TREE = CategoryTree(
    [
        CategoryNode("02", None, "安全隐患", position=1, attributes={"grade": ["a"], "kept": True}),
        CategoryNode("0201", "02", "消防", external_codes={"12345": "A-7"}),
        CategoryNode("0202", "02", "用电", position=1, active=False, attributes={"grade": ["b"]}),
        CategoryNode("020201", "0202", "线路"),
        CategoryNode("03", None, "线索", position=2, sealed=True),
        CategoryNode("0301", "03", "盗窃"),
        CategoryNode("030101", "0301", "入室"),
        CategoryNode("01", None, "矛盾纠纷"),
    ]
)


def test_unknown_code_is_refused_and_counts_as_sealed() -> None:
    assert TREE.get("77") is None
    assert TREE.is_sealed("77")
    for question in (TREE.root_of, TREE.path, TREE.reportable, TREE.attributes_of):
        with pytest.raises(CategoryUnknown):
            question("77")


@pytest.mark.parametrize("code", ["0202", "020201"])
def test_switched_off_category_and_those_below_are_not_reportable(code: str) -> None:
    with pytest.raises(CategoryUnknown):
        TREE.reportable(code)


def test_active_category_is_reportable() -> None:
    assert TREE.reportable("0201").name == "消防"


@pytest.mark.parametrize("code", ["03", "0301", "030101"])
def test_everything_below_a_sealed_root_is_sealed(code: str) -> None:
    assert TREE.is_sealed(code)


@pytest.mark.parametrize("code", ["01", "02", "0201"])
def test_others_are_not_sealed(code: str) -> None:
    assert not TREE.is_sealed(code)


def test_root_and_path_follow_parent_links() -> None:
    assert TREE.root_of("020201") == "02"
    assert [node.code for node in TREE.path("020201")] == ["020201", "0202", "02"]


def test_order_is_by_position_and_parents_come_first() -> None:
    assert [node.code for node in TREE.in_order()] == [
        "01", "02", "0201", "0202", "020201", "03", "0301", "030101",
    ]  # fmt: skip
    assert [node.code for node in TREE.children("02")] == ["0201", "0202"]
    assert [node.code for node in TREE.children()] == ["01", "02", "03"]


def test_attributes_are_inherited_and_overridden() -> None:
    assert TREE.attributes_of("020201") == {"grade": ["b"], "kept": True}
    assert TREE.attributes_of("0201") == {"grade": ["a"], "kept": True}


def test_external_code_leads_to_ours_and_others_to_none() -> None:
    assert TREE.from_external("12345", "A-7") == "0201"
    assert TREE.from_external("12345", "A-8") is None
    assert TREE.from_external("other", "A-7") is None


@given(st.sets(st.from_regex(r"\A([0-9]{2}){1,3}\Z"), max_size=30))
def test_every_tree_is_walked_once_and_completely(codes: set[str]) -> None:
    whole = {code[:end] for code in codes for end in range(2, len(code) + 1, 2)}
    tree = CategoryTree(CategoryNode(code, code[:-2] or None, code) for code in whole)
    assert [node.code for node in tree.in_order()] == sorted(whole)
