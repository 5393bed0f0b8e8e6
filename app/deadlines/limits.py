"""The one computation of due times."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from types import MappingProxyType
from typing import Literal, Protocol
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.categories import queries as categories
from app.categories.freshness import Fresh
from app.categories.queries import CategoryTree
from app.core.resources import Resources
from app.deadlines.defaults import (
    DAY_MINUTES,
    DEFAULT_LIMITS,
    DEFAULT_SESSIONS,
    LimitRule,
)
from app.deadlines.models import Calendar, CalendarDay, Limit, OfficeHours, Stage
from app.deadlines.workdays import Saying, Workdays
from app.deadlines.working_time import WorkingTime

Light = Literal["green", "yellow", "red"]
Sessions = Sequence[Sequence[str]]
Unpublished = Callable[[int], None]
_LEAST_RED = timedelta(hours=1)
_RULE_COLUMNS = [getattr(Limit, field.name) for field in fields(LimitRule)]


class Timing(Protocol):
    """A calendar of one unit: adds and measures what counts."""

    @property
    def day_minutes(self) -> int: ...

    def after(self, start: datetime, span: timedelta) -> datetime: ...

    def elapsed(self, start: datetime, end: datetime) -> timedelta: ...


class AlwaysTime:
    """24×7: every minute counts."""

    day_minutes = 24 * 60

    def after(self, start: datetime, span: timedelta) -> datetime:
        return start.astimezone(UTC) + span

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        return end - start


@dataclass(frozen=True, slots=True)
class Due:
    """Instants in UTC. `minutes` is the time allowed, counted in `calendar`."""

    due_at: datetime
    yellow_at: datetime
    """Start of the last quarter."""
    minutes: int
    calendar: Calendar
    yellow_card_at: datetime
    red_card_at: datetime


class Deadlines:
    """Limits, office hours and calendar at one moment. Never changes.

    What the tables don't say is filled from the defaults, so every question has an answer.
    """

    def __init__(
        self,
        rules: Iterable[LimitRule],
        hours: Mapping[UUID | None, Sessions],
        workdays: Workdays,
        zone: tzinfo,
        tree: CategoryTree,
    ) -> None:
        self._rules = {_key(rule): rule for rule in (*DEFAULT_LIMITS, *rules)}
        self.zone = zone
        """Local time: review dates and digests."""
        self._tree = tree
        self._always = AlwaysTime()
        self._working = MappingProxyType(
            {
                unit_id: WorkingTime(sessions, workdays, zone)
                for unit_id, sessions in ({None: DEFAULT_SESSIONS} | dict(hours)).items()
            }
        )

    def due(
        self,
        stage: Stage,
        category: str | None,
        urgency: str,
        level: str | None,
        start: datetime,
        unit_id: UUID | None,
        *,
        extension_days: int = 0,
        suspended: timedelta = timedelta(),
    ) -> Due:
        """When a stage that began at `start` must be done.

        `extension_days` granted are days of the limit's calendar; `suspended` is the sum of
        `elapsed(calendar, …)` over the suspensions. Raises KeyError for an unknown urgency.
        """
        rule = self.limit(stage, category, urgency, level)
        timing = self.timing(rule.calendar, unit_id)
        allowed = _span(rule, rule.minutes, timing)
        allowed += timedelta(minutes=extension_days * timing.day_minutes)
        end = suspended + allowed
        yellow_card, red_card = _cards(rule, allowed, timing)
        return Due(
            due_at=timing.after(start, end),
            yellow_at=timing.after(start, end - allowed / 4),
            minutes=allowed // timedelta(minutes=1),
            calendar=rule.calendar,
            yellow_card_at=timing.after(start, end + yellow_card),
            red_card_at=timing.after(start, end + red_card),
        )

    def limit(
        self, stage: Stage, category: str | None, urgency: str, level: str | None
    ) -> LimitRule:
        """The most specific limit: category, its ancestors up to the root, level, default.

        Raises KeyError for an unknown urgency.
        """
        for code in self._codes(category):
            for at_level in (level, None):
                rule = self._rules.get((code, urgency, at_level, stage))
                if rule is not None:
                    return rule
        raise KeyError((stage, urgency))

    def timing(self, calendar: Calendar, unit_id: UUID | None) -> Timing:
        """The calendar as the unit keeps it; a unit without office hours keeps the default ones."""
        if calendar == "always":
            return self._always
        return self._working.get(unit_id) or self._working[None]

    def elapsed(
        self, calendar: Calendar, start: datetime, end: datetime, unit_id: UUID | None
    ) -> timedelta:
        """Time that counted between two instants, negative when `end` is the earlier one."""
        return self.timing(calendar, unit_id).elapsed(start, end)

    def _codes(self, category: str | None) -> Iterator[str | None]:
        if category is not None and self._tree.get(category) is not None:
            yield from (node.code for node in self._tree.path(category))
        yield None


def light(now: datetime, yellow_at: datetime, due_at: datetime) -> Light:
    """Red after `due_at`, yellow from `yellow_at` on, else green."""
    if now > due_at:
        return "red"
    return "yellow" if now >= yellow_at else "green"


def remaining_s(now: datetime, due_at: datetime) -> int:
    """Seconds on the wall clock until `due_at`, rounded down; negative when overdue."""
    return (due_at - now) // timedelta(seconds=1)


async def load(
    session: AsyncSession, zone: tzinfo, unpublished: Unpublished | None = None
) -> Deadlines:
    """The deadlines as this transaction sees them.

    `unpublished` hears of each year without a calendar; by default a snapshot warns once a year.
    """
    days = await session.execute(select(CalendarDay.day, CalendarDay.kind))
    hours = await session.execute(select(OfficeHours.unit_id, OfficeHours.sessions))
    rules = await session.execute(select(*_RULE_COLUMNS))
    return Deadlines(
        rules=[LimitRule(**row) for row in rules.mappings()],
        hours={row.unit_id: row.sessions for row in hours},
        workdays=Workdays([(row.day, row.kind) for row in days], unpublished),
        zone=zone,
        tree=await categories.load(session),
    )


async def current_deadlines(resources: Resources) -> Deadlines:
    """The process's snapshot, at most 5 s old; it warns of an unpublished year once a process."""
    return await resources.the(_fresh_deadlines).get()


def _fresh_deadlines(resources: Resources) -> Fresh[Deadlines]:
    return Fresh(resources.clock, partial(_read, resources, Saying()))


async def _read(resources: Resources, unpublished: Unpublished) -> Deadlines:
    async with resources.sessions.read() as session:
        return await load(session, resources.settings.zone, unpublished)


def _key(rule: LimitRule) -> tuple[str | None, str, str | None, str]:
    return rule.category_code, rule.urgency, rule.level, rule.stage


def _span(rule: LimitRule, minutes: int, timing: Timing) -> timedelta:
    """Working limits are days of 420 minutes: a unit with another day gets as many of its own."""
    if rule.calendar == "always":
        return timedelta(minutes=minutes)
    return timedelta(minutes=-(-minutes * timing.day_minutes // DAY_MINUTES))


def _cards(rule: LimitRule, allowed: timedelta, timing: Timing) -> tuple[timedelta, timedelta]:
    """How long after the due time the yellow and the red card are drawn."""
    yellow = _span(rule, rule.yellow_card_minutes or 0, timing)
    if rule.red_card_minutes is not None:
        return yellow, _span(rule, rule.red_card_minutes, timing)
    return yellow, max(allowed, _LEAST_RED, yellow)
