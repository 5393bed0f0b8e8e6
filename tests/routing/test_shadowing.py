"""Which rules can never match: held against every moment of a day."""

from datetime import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.routing.rules import matches
from app.routing.shadowing import URGENCIES, never_matching
from tests.routing.test_rules import ARule, facts

AREAS = {"v": frozenset({"v", "t", "d"}), "t": frozenset({"t", "d"}), "d": frozenset({"d"})}
KINDS = {"0201": frozenset({"0201", "02"}), "02": frozenset({"02"}), "03": frozenset({"03"})}


def dead(*rules: ARule) -> list[int]:
    return never_matching(rules, KINDS.__getitem__, AREAS.__getitem__)


def test_what_asks_for_less_than_one_before_it_is_never_reached() -> None:
    assert dead(ARule(category="02"), ARule(category="0201", area_code="v")) == [1]
    assert dead(ARule(area_code="t"), ARule(area_code="v")) == [1]
    assert dead(ARule(category="0201"), ARule(category="02")) == []
    assert dead(ARule(area_code="v"), ARule(area_code="t")) == []


def test_several_before_it_may_share_it_out() -> None:
    every = [ARule(urgency=urgency) for urgency in URGENCIES]
    assert dead(*every, ARule(category="02")) == [4]
    assert dead(*every[:3], ARule(category="02")) == []
    day = ARule(from_time="06:00", until_time="22:00")
    night = ARule(from_time="22:00", until_time="06:00")
    assert dead(day, night, ARule()) == [2]


def test_a_window_without_a_minute_is_never_open() -> None:
    assert dead(ARule(from_time="08:00", until_time="08:00")) == [0]


some = st.builds(
    ARule,
    category=st.sampled_from([None, "02", "0201"]),
    urgency=st.sampled_from([None, *URGENCIES]),
    area_code=st.sampled_from([None, "v", "t", "d"]),
    from_time=st.sampled_from([None, "00:00", "08:00", "20:00"]),
    until_time=st.sampled_from([None, "08:00", "20:00"]),
)


@given(st.lists(some, min_size=1, max_size=5))
def test_no_matter_ever_meets_a_rule_that_is_called_dead(rules: list[ARule]) -> None:
    found = set(dead(*rules))
    for urgency in URGENCIES:
        for hour in (0, 7, 8, 19, 20, 23):
            about: Any = facts(urgency=urgency, local_time=time(hour, 59))
            first = next((i for i, rule in enumerate(rules) if matches(rule, about)), None)
            assert first not in found
