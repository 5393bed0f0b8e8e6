"""Rules, decisions, previews and dry runs on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.accounts.caller import UnitLevel
from app.core.fields import Code, Command, Count, Instant, Line, View
from app.core.paging import MAX_LIMIT, Page
from app.incidents.schemas import Place, Urgency

MOST_RULES = 200
LONGEST_DRY_RUN_DAYS = 366
MOST_CHANGED_SHOWN = 200

ClockTime = Annotated[
    str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", max_length=5)
]
"""`HH:MM`, local time."""
Name = Annotated[str, Field(max_length=200)]
Key = Annotated[str, Field(max_length=64)]


class RuleView(View):
    id: UUID
    version: Count
    position: Count
    name: str = Field(max_length=200)
    category: str | None = Field(max_length=64)
    urgency: str | None = Field(max_length=20)
    area_code: str | None = Field(max_length=64)
    from_time: str | None = Field(max_length=5)
    until_time: str | None = Field(max_length=5)
    level: str | None = Field(max_length=20)
    unit_code: str | None = Field(max_length=64)
    inform: list[Annotated[str, Field(max_length=64)]] = Field(max_length=10)


RuleSetState = Literal["draft", "scheduled", "active", "superseded"]


class RuleWarning(View):
    """What is allowed and probably not meant."""

    pointer: str = Field(max_length=200)
    code: Key
    message: Name


class RuleSetPage(Page[RuleView]):
    """One whole version of the rules, in the order in which they are tried."""

    version: Count
    newest_version: Count
    """Of all that are written, drafts included; another one since you read means a lost update."""
    state: RuleSetState
    valid_from: datetime | None
    note: str | None = Field(max_length=200)
    warnings: list[RuleWarning] = Field(max_length=MAX_LIMIT)


class RuleSetView(View):
    version: Count
    state: RuleSetState
    valid_from: datetime | None
    note: str | None = Field(max_length=200)
    rules: Count
    created_by: UUID | None
    created_at: datetime


class NewRule(Command):
    """`level`: the centre of that level above the place; or `unit_code`: one named unit."""

    name: Line
    category: Code | None = None
    """A root or a full code; nothing: every category. So for the other conditions."""
    urgency: Urgency | None = None
    area_code: Code | None = None
    from_time: ClockTime | None = None
    until_time: ClockTime | None = None
    """Exclusive; before `from_time`: over midnight."""
    level: UnitLevel | None = None
    unit_code: Code | None = None
    inform: list[UnitLevel] = Field(default=[], max_length=3)

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.level is None) == (self.unit_code is None):
            raise PydanticCustomError(
                "one_target",
                "A rule names either a level or a unit",
                {"zh": "一条规则要么指定层级，要么指定单位"},
            )
        if (self.from_time is None) != (self.until_time is None):
            raise PydanticCustomError(
                "half_a_window",
                "from_time and until_time come together",
                {"zh": "开始与结束时间须同时填写"},
            )
        return self


Rules = Annotated[list[NewRule], Field(min_length=1, max_length=MOST_RULES)]


class RuleSetChange(Command):
    """The whole set: what is not in it is no longer a rule."""

    rules: Rules
    draft: bool = False
    """Written down only: nothing is routed by it until it is activated."""
    valid_from: Instant | None = None
    """Nothing: at once."""
    note: Line | None = None

    @model_validator(mode="after")
    def _draft_has_no_moment(self) -> Self:
        if self.draft and self.valid_from is not None:
            raise PydanticCustomError(
                "draft_with_moment",
                "A draft gets its moment when it is activated",
                {"zh": "草稿在启用时才确定生效时间"},
            )
        return self


class Activation(Command):
    valid_from: Instant | None = None
    """Nothing: at once."""


class PreviewQuery(Command):
    category: Code
    urgency: Urgency = "routine"
    place: Place
    at: Instant | None = None
    """Nothing: now."""
    version: Annotated[int, Field(ge=1, le=2**31)] | None = None
    """Nothing: the set in force at `at`."""


class RoutedUnit(View):
    id: UUID
    code: str = Field(max_length=64)
    name: str = Field(max_length=200)
    level: str = Field(max_length=20)


class Preview(View):
    """Where a report would go from one grid."""

    grid_code: str | None = Field(max_length=64)
    distance_m: Annotated[float, Field(ge=0, le=1e6)] | None
    unit: RoutedUnit
    rule: str | None = Field(max_length=200)
    rule_version: Count | None
    trace: dict[str, Any]


class PreviewView(Preview):
    grid_uncertain: bool
    candidates: list[Preview] = Field(max_length=10)
    """Where the border is near or the fix is poor: from each grid that it may be."""


class Suggestion(View):
    """A unit that closed similar matters; nothing follows from it by itself."""

    unit: RoutedUnit
    closed: Count
    reasons: list[Name] = Field(max_length=10)


class DecisionView(View):
    incident_id: UUID
    unit_id: UUID
    rule_id: UUID | None
    rule_version: Count | None
    trace: dict[str, Any]
    decided_at: datetime
    suggestions: list[Suggestion] = Field(default=[], max_length=5)


class RuleFeedback(View):
    """How matters of one rule fared. `bounced`: the first step ended by the four named moves."""

    rule_id: UUID | None
    """Nothing: no rule matched."""
    rule_version: Count | None
    rule: str | None = Field(max_length=200)
    routed: Count
    bounced: Count
    returned: Count
    refused: Count
    handed_down: Count
    escalated: Count


class DryRunQuery(Command):
    """Either the changed rules or a version that is written down."""

    rules: Rules | None = None
    version: Annotated[int, Field(ge=1, le=2**31)] | None = None
    days: Annotated[int, Field(ge=1, le=LONGEST_DRY_RUN_DAYS)] = 30

    @model_validator(mode="after")
    def _one_set(self) -> Self:
        if (self.rules is None) == (self.version is None):
            raise PydanticCustomError(
                "one_rule_set",
                "A dry run is of rules or of a version",
                {"zh": "试运行须给出 rules 或 version 之一"},
            )
        return self


class MovedPair(View):
    from_unit: RoutedUnit
    to_unit: RoutedUnit
    count: Count


class MovedMatter(View):
    incident_id: UUID
    number: str = Field(max_length=64)
    category: str = Field(max_length=64)
    urgency: str = Field(max_length=20)
    received_at: datetime
    from_unit: Key
    """Codes of units."""
    to_unit: Key
    from_rule: str | None = Field(max_length=200)
    to_rule: str | None = Field(max_length=200)


class DryRunReport(View):
    """Both sets judged with today's units and staff: the rules alone make the difference."""

    since: datetime
    compared_with: Count
    """The version in force."""
    truncated: bool
    """Older matters were left out."""
    changed: Count
    pairs: list[MovedPair] = Field(max_length=MAX_LIMIT)
    matters: list[MovedMatter] = Field(max_length=MOST_CHANGED_SHOWN)
    warnings: list[RuleWarning] = Field(max_length=MAX_LIMIT)


class DryRunView(View):
    id: UUID
    state: Literal["running", "done", "failed", "interrupted"]
    examined: Count
    created_at: datetime
    finished_at: datetime | None
    report: DryRunReport | None
