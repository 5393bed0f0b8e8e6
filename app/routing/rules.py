"""The choice of a unit: ordered rules, first match wins, and it always ends somewhere (pure)."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import time
from typing import Any, Protocol
from uuid import UUID

Json = dict[str, Any]

UPWARD = ("village", "township", "district")


class Rule(Protocol):
    """A RoutingRule, or a rule that is only being tried out."""

    id: Any
    version: Any
    name: Any
    category: Any
    urgency: Any
    area_code: Any
    from_time: Any
    until_time: Any
    level: Any
    unit_code: Any
    inform: Any


class Candidate(Protocol):
    id: Any
    code: Any
    name: Any
    level: Any
    kind: Any
    parent_id: Any


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules may ask about an incident."""

    category: str
    root: str
    urgency: str
    areas: frozenset[str]
    """Codes of its lineage."""
    local_time: time
    sealed: bool
    owner_unit_id: UUID


@dataclass(frozen=True, slots=True)
class Choice:
    unit_id: UUID
    opened_by: UUID
    rule: Rule | None
    inform: tuple[UUID, ...]
    trace: Json = field(default_factory=dict)


def matches(rule: Rule, facts: Facts) -> bool:
    return (
        rule.category in (None, facts.category, facts.root)
        and rule.urgency in (None, facts.urgency)
        and (rule.area_code is None or rule.area_code in facts.areas)
        and _in_hours(rule, facts.local_time)
    )


def choose(
    rules: Sequence[Rule],
    facts: Facts,
    centres: Mapping[str, Candidate],
    named: Mapping[str, Candidate],
    staffed: AbstractSet[UUID],
) -> Choice:
    """Choose the unit of an incident and say why.

    `centres`: the incident's own centres by level. `named`: units by code that rules name.
    `staffed`: ids of units in which somebody can act. The trace lists what was tried, in order.
    """
    rule = next((rule for rule in rules if matches(rule, facts)), None)
    tried: list[Json] = []
    unit = _by_rule(rule, centres, named, staffed, tried) if rule else None
    if unit is None:
        unit = _upward(rule.level if rule else None, centres, staffed, tried)
    unit_id = unit.id if unit else facts.owner_unit_id
    if unit is None:
        tried.append({"unit": str(unit_id), "why": "duty_desk", "taken": True})
    opened_by = unit.parent_id if unit is not None and unit.kind == "department" else unit_id
    return Choice(
        unit_id=unit_id,
        opened_by=opened_by or unit_id,
        rule=rule,
        inform=_informed(rule, centres, unit_id, facts),
        trace={
            "rule": rule.name if rule else None,
            "version": rule.version if rule else None,
            "tried": tried,
        },
    )


def _by_rule(
    rule: Rule,
    centres: Mapping[str, Candidate],
    named: Mapping[str, Candidate],
    staffed: AbstractSet[UUID],
    tried: list[Json],
) -> Candidate | None:
    """The unit the rule means, if it exists and somebody works there."""
    unit = named.get(rule.unit_code) if rule.unit_code else centres.get(rule.level)
    if unit is None:
        tried.append({"unit": rule.unit_code or rule.level, "why": "no_such_unit", "taken": False})
        return None
    return _tried(unit, "rule", staffed, tried)


def _upward(
    level: str | None,
    centres: Mapping[str, Candidate],
    staffed: AbstractSet[UUID],
    tried: list[Json],
) -> Candidate | None:
    """From the village (or above the level that failed) upward: the first centre with staff."""
    start = UPWARD.index(level) + 1 if level in UPWARD else 0
    for above in UPWARD[start:]:
        unit = centres.get(above)
        if unit is not None and _tried(unit, "fallback", staffed, tried):
            return unit
    return None


def _tried(
    unit: Candidate, why: str, staffed: AbstractSet[UUID], tried: list[Json]
) -> Candidate | None:
    taken = unit.id in staffed
    tried.append(
        {"unit": unit.code, "name": unit.name, "why": why if taken else "no_staff", "taken": taken}
    )
    return unit if taken else None


def _informed(
    rule: Rule | None, centres: Mapping[str, Candidate], owner: UUID, facts: Facts
) -> tuple[UUID, ...]:
    """Centres told at once, of a critical matter all of them (越级).

    A sealed matter is known to units with a step only.
    """
    if rule is None or facts.sealed:
        return ()
    levels = UPWARD if facts.urgency == "critical" else rule.inform
    told = (centres[level].id for level in levels if level in centres)
    return tuple(unit_id for unit_id in told if unit_id != owner)


def _in_hours(rule: Rule, now: time) -> bool:
    if rule.from_time is None or rule.until_time is None:
        return True
    start, end = time.fromisoformat(rule.from_time), time.fromisoformat(rule.until_time)
    return start <= now < end if start <= end else now >= start or now < end
