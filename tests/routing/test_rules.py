"""The choice of a unit: first match wins, it always ends somewhere, and it says why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.routing.rules import UPWARD, Candidate, Choice, Facts, Rule, choose, matches


@dataclass
class ARule:
    name: str = "rule"
    category: str | None = None
    urgency: str | None = None
    area_code: str | None = None
    from_time: str | None = None
    until_time: str | None = None
    level: str | None = "village"
    unit_code: str | None = None
    inform: Sequence[str] = ()
    version: int = 1
    id: UUID = field(default_factory=uuid4)


@dataclass
class AUnit:
    code: str
    level: str
    kind: str = "centre"
    parent_id: UUID | None = None
    name: str = "综治中心"
    id: UUID = field(default_factory=uuid4)


DISTRICT = AUnit("d", "district")
TOWNSHIP = AUnit("t", "township", parent_id=DISTRICT.id)
VILLAGE = AUnit("v", "village", parent_id=TOWNSHIP.id)
POLICE = AUnit("t-police", "township", "department", TOWNSHIP.id)
CENTRES: Mapping[str, Candidate] = {unit.level: unit for unit in (VILLAGE, TOWNSHIP, DISTRICT)}
NAMED: Mapping[str, Candidate] = {unit.code: unit for unit in (VILLAGE, TOWNSHIP, DISTRICT, POLICE)}
EVERYBODY = frozenset(unit.id for unit in NAMED.values())


def facts(**changes: Any) -> Facts:
    given: dict[str, Any] = {
        "category": "0201",
        "root": "02",
        "urgency": "routine",
        "areas": frozenset({"g", "v", "t", "d"}),
        "local_time": time(12),
        "sealed": False,
        "owner_unit_id": VILLAGE.id,
    }
    return Facts(**given | changes)


def chosen(
    *rules: ARule, staffed: frozenset[UUID] = EVERYBODY, about: Facts | None = None
) -> Choice:
    return choose(rules, about or facts(), CENTRES, NAMED, staffed)


def tried(choice: Choice) -> list[tuple[str, str, bool]]:
    return [(item["unit"], item["why"], item["taken"]) for item in choice.trace["tried"]]


hours = st.none() | st.times().map(lambda at: f"{at:%H:%M}")
some_rules = st.builds(
    ARule,
    category=st.sampled_from([None, "02", "0201", "03"]),
    urgency=st.sampled_from([None, "routine", "critical"]),
    area_code=st.sampled_from([None, "v", "t", "elsewhere"]),
    from_time=hours,
    until_time=hours,
    level=st.sampled_from([None, *UPWARD]),
    unit_code=st.sampled_from([None, "t-police", "v", "gone"]),
    inform=st.lists(st.sampled_from(UPWARD), max_size=3, unique=True).map(tuple),
)


@given(
    rules=st.lists(some_rules, max_size=6),
    levels=st.sets(st.sampled_from(UPWARD)),
    staffed=st.sets(st.sampled_from(sorted(EVERYBODY, key=str))),
    urgency=st.sampled_from(["routine", "critical"]),
    at=st.times(),
    sealed=st.booleans(),
)
def test_v3_it_always_ends_at_exactly_one_unit_and_says_why(
    rules: list[ARule],
    levels: set[str],
    staffed: set[UUID],
    urgency: str,
    at: time,
    sealed: bool,  # noqa: FBT001 - drawn
) -> None:
    about = facts(urgency=urgency, local_time=at, sealed=sealed)
    centres = {level: CENTRES[level] for level in levels}
    choice = choose(rules, about, centres, NAMED, frozenset(staffed))
    first: Rule | None = next((rule for rule in rules if matches(rule, about)), None)
    assert choice.rule is first
    assert choice.trace["rule"] == (first.name if first else None)
    assert choice.unit_id in EVERYBODY
    taken = [item for item in choice.trace["tried"] if item["taken"]]
    assert len(taken) == 1
    assert taken == choice.trace["tried"][-1:]
    assert choice.unit_id in staffed or taken[0]["why"] == "duty_desk"
    assert choice.unit_id not in choice.inform
    assert choice.opened_by == (TOWNSHIP.id if choice.unit_id == POLICE.id else choice.unit_id)
    assert not (sealed and choice.inform)


@pytest.mark.parametrize(
    ("rule", "about", "fits"),
    [
        (ARule(category="02"), {}, True),
        (ARule(category="0201"), {}, True),
        (ARule(category="0202"), {}, False),
        (ARule(category="03"), {}, False),
        (ARule(urgency="urgent"), {}, False),
        (ARule(urgency="urgent"), {"urgency": "urgent"}, True),
        (ARule(area_code="t"), {}, True),
        (ARule(area_code="g"), {}, True),
        (ARule(area_code="t2"), {}, False),
        (ARule(category="02", urgency="urgent"), {}, False),
        (ARule(from_time="08:00", until_time=None), {"local_time": time(3)}, True),
    ],
)
def test_a_rule_matches_when_all_its_conditions_do(
    rule: ARule,
    about: dict[str, Any],
    fits: bool,  # noqa: FBT001 - expected
) -> None:
    assert matches(rule, facts(**about)) is fits


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        (("08:30", "18:00"), ["08:30", "12:00", "17:59"], ["08:29", "18:00", "00:00"]),
        (("22:00", "06:00"), ["22:00", "23:59", "00:00", "05:59"], ["06:00", "12:00", "21:59"]),
        (("00:00", "08:00"), ["00:00", "07:59"], ["08:00", "23:59"]),
    ],
)
def test_hours_begin_inclusive_end_exclusive_and_may_cross_midnight(
    hours: tuple[str, str], inside: list[str], outside: list[str]
) -> None:
    rule = ARule(from_time=hours[0], until_time=hours[1])
    for moments, fits in ((inside, True), (outside, False)):
        for moment in moments:
            about = facts(local_time=time.fromisoformat(moment))
            assert matches(rule, about) is fits, moment


@given(start=st.times(), end=st.times(), now=st.times())
def test_a_night_and_its_day_share_no_minute(start: time, end: time, now: time) -> None:
    start, end = start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0)
    if start == end:
        return
    night = ARule(from_time=f"{start:%H:%M}", until_time=f"{end:%H:%M}")
    day = ARule(from_time=f"{end:%H:%M}", until_time=f"{start:%H:%M}")
    about = facts(local_time=now)
    assert matches(night, about) is not matches(day, about)


def test_the_first_rule_that_matches_wins() -> None:
    choice = chosen(
        ARule("三", urgency="urgent", level="district"),
        ARule("一", category="02", level="township"),
        ARule("二", level="village"),
    )
    assert choice.rule is not None
    assert (choice.unit_id, choice.rule.name) == (TOWNSHIP.id, "一")
    assert choice.trace == {
        "rule": "一",
        "version": 1,
        "tried": [{"unit": "t", "name": "综治中心", "why": "rule", "taken": True}],
    }


def test_without_a_rule_the_centre_of_the_village_has_it() -> None:
    choice = chosen()
    assert (choice.unit_id, choice.rule, choice.trace["rule"]) == (VILLAGE.id, None, None)
    assert tried(choice) == [("v", "fallback", True)]


def test_without_staff_it_climbs_and_never_goes_down() -> None:
    above = chosen(ARule(level="village"), staffed=EVERYBODY - {VILLAGE.id})
    assert tried(above) == [("v", "no_staff", False), ("t", "fallback", True)]
    top = chosen(ARule(level="township"), staffed=frozenset({VILLAGE.id, DISTRICT.id}))
    assert tried(top) == [("t", "no_staff", False), ("d", "fallback", True)]


def test_with_nobody_anywhere_it_stays_with_the_duty_desk() -> None:
    choice = chosen(ARule(level="township"), staffed=frozenset())
    assert choice.unit_id == choice.opened_by == VILLAGE.id
    assert tried(choice)[-1] == (str(VILLAGE.id), "duty_desk", True)


def test_a_named_department_stands_under_its_centre() -> None:
    choice = chosen(ARule(level=None, unit_code="t-police"))
    assert (choice.unit_id, choice.opened_by) == (POLICE.id, TOWNSHIP.id)


def test_a_named_unit_that_is_gone_or_empty_is_passed_over() -> None:
    gone = chosen(ARule(level=None, unit_code="no-such-unit"))
    assert tried(gone) == [("no-such-unit", "no_such_unit", False), ("v", "fallback", True)]
    empty = chosen(ARule(level=None, unit_code="t-police"), staffed=EVERYBODY - {POLICE.id})
    assert tried(empty) == [("t-police", "no_staff", False), ("v", "fallback", True)]


def test_who_is_told_at_once_is_not_the_owner_and_never_of_a_sealed_matter() -> None:
    rule = ARule(level="township", inform=("village", "township", "district", "province"))
    assert chosen(rule).inform == (VILLAGE.id, DISTRICT.id)
    assert chosen(rule, about=facts(sealed=True)).inform == ()
