"""How much two matters are alike: the same for either order, never about people."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.incidents.clusters import joined
from app.incidents.likeness import Traits, bare, bigrams, likeness, text_in_common
from app.incidents.linking import Done, link, links_among
from app.incidents.method_words import method_words

AT = datetime(2026, 3, 11, 4, 0, tzinfo=UTC)
ONE = Traits("0201", "楼道堆放杂物，堵塞消防通道", AT, 106.68, 35.54, "g")
METRE = 1 / 111_320


@pytest.mark.parametrize(
    "other",
    [
        replace(ONE, lat=35.54 + 201 * METRE),
        replace(ONE, at=AT - timedelta(hours=73)),
        replace(ONE, lon=None, lat=None, grid_code="another"),
        replace(ONE, lon=None, lat=None, grid_code=None),
    ],
)
def test_too_far_away_in_place_or_time_is_not_alike(other: Traits) -> None:
    assert likeness(ONE, other) is None


def test_the_same_words_nearby_are_alike_and_it_is_said_why() -> None:
    alike = likeness(ONE, replace(ONE, lat=35.54 + 50 * METRE, at=AT - timedelta(hours=2)))
    assert alike is not None
    assert alike.score > 0.9
    told = {reason.kind: reason.value for reason in alike.reasons}
    assert told == {"similar_text": 1.0, "near": 50.0, "same_category": None, "same_time": 2.0}


def test_the_same_picture_outweighs_other_words() -> None:
    pictures = frozenset({b"digest"})
    other = replace(ONE, text="有人乱丢东西", pictures=pictures)
    alike = likeness(replace(ONE, pictures=pictures), other)
    assert alike is not None
    assert (alike.score, alike.reasons[0].kind) == (0.95, "same_picture")


@given(
    metres=st.floats(0, 400),
    hours=st.floats(0, 100),
    text=st.sampled_from(["", "楼道堆放杂物", "电线老化", "a1"]),
)
def test_likeness_is_the_same_in_either_order(metres: float, hours: float, text: str) -> None:
    other = Traits("0202", text, AT - timedelta(hours=hours), 106.68, 35.54 + metres * METRE, "g")
    one_way, other_way = likeness(ONE, other), likeness(other, ONE)
    assert one_way == other_way
    assert one_way is None or 0.3 <= one_way.score <= 1


def test_phones_plates_and_numbers_are_never_compared() -> None:
    assert bare("甘L12345，电话13900001111（王）") == "甘 电话 王"
    assert text_in_common("13900001111", "13900001111") == 0
    assert bigrams("甲1乙") == frozenset()


def test_method_words_come_from_the_closed_list_alone() -> None:
    text = "张伟（电话13900001111，车牌甘L12345）深夜撬锁"
    assert method_words(text) == {"撬锁", "夜间"}


def done(text: str, **changes: object) -> Done:
    traits = replace(ONE, category="0202", text="", **changes)  # type: ignore[arg-type]  # drawn names
    return Done(uuid4(), traits, method_words(text))


def test_what_has_only_the_night_or_the_kind_in_common_is_not_linked() -> None:
    one = done("深夜飞线充电")
    assert link(one, done("深夜堆放杂物")) is None
    assert link(one, replace_category(done("深夜飞线充电"))) is None
    assert link(one, done("飞线充电", at=AT - timedelta(days=31))) is None
    assert link(one, done("飞线充电", lat=35.54 + 3_001 * METRE)) is None
    assert link(one, one) is None


def replace_category(one: Done) -> Done:
    return Done(one.id, replace(one.traits, category="0201"), one.words)


def test_a_link_says_why_and_points_from_the_later_to_the_earlier() -> None:
    later = done("又见飞线充电")
    earlier = done("飞线充电", at=AT - timedelta(days=2), lat=35.54 + 100 * METRE)
    found = link(later, earlier)
    assert found is not None
    assert found == link(earlier, later)
    assert (found.earlier_id, found.later_id) == (earlier.id, later.id)
    assert [reason["kind"] for reason in found.reasons] == [
        "method_words",
        "same_category",
        "near",
        "same_time",
    ]
    assert found.reasons[0]["words"] == ["飞线充电"]


def test_one_matter_has_few_links_however_many_are_like_it() -> None:
    others = [done("飞线充电", at=AT - timedelta(hours=hour)) for hour in range(1, 50)]
    newest = done("飞线充电")
    assert len(list(links_among([newest], [newest, *others]))) == 5


ids = [UUID(int=number) for number in range(8)]


@given(st.lists(st.tuples(st.sampled_from(ids), st.sampled_from(ids)), max_size=20))
def test_links_hold_together_exactly_what_they_reach(pairs: list[tuple[UUID, UUID]]) -> None:
    groups = joined(pairs)
    assert all(groups[one] == groups[other] for one, other in pairs)
    reach = {each: {each} for each in groups}
    for _ in ids:
        for one, other in pairs:
            reach[one] |= reach[other]
            reach[other] |= reach[one]
    for one in groups:
        assert {each for each in groups if groups[each] == groups[one]} == reach[one]
