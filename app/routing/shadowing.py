"""Rules that can never match, because those before them take everything they ask for (pure)."""

from collections.abc import Callable, Sequence
from datetime import time

from app.routing.rules import Rule

URGENCIES = ("routine", "urgent", "critical", "complex")
_DAY = 24 * 60

Above = Callable[[str], frozenset[str]]
"""A code, and everything above it."""


def never_matching(rules: Sequence[Rule], categories: Above, areas: Above) -> list[int]:
    """Positions of rules that no matter of any urgency at any minute of a day can reach.

    A rule is weighed against all before it together: two that share the day out leave nothing.
    """
    return [
        position
        for position, rule in enumerate(rules)
        if not _moments(rule)
        - _taken(
            [
                before
                for before in rules[:position]
                if _covers(before.category, rule.category, categories)
                and _covers(before.area_code, rule.area_code, areas)
            ]
        )
    ]


def _covers(wide: str | None, narrow: str | None, above: Above) -> bool:
    return wide is None or (narrow is not None and wide in above(narrow))


def _taken(rules: Sequence[Rule]) -> frozenset[tuple[str, int]]:
    return frozenset().union(*(_moments(rule) for rule in rules))


def _moments(rule: Rule) -> frozenset[tuple[str, int]]:
    """(urgency, minute of the day) that the rule asks for."""
    urgencies = URGENCIES if rule.urgency is None else (rule.urgency,)
    return frozenset((urgency, minute) for urgency in urgencies for minute in _minutes(rule))


def _minutes(rule: Rule) -> Sequence[int]:
    if rule.from_time is None or rule.until_time is None:
        return range(_DAY)
    start, end = _minute(rule.from_time), _minute(rule.until_time)
    return range(start, end) if start <= end else [*range(start, _DAY), *range(end)]


def _minute(text: str) -> int:
    at = time.fromisoformat(text)
    return at.hour * 60 + at.minute
