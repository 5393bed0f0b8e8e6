"""The limits and office hours that hold where nothing else was set (pure data)."""

from dataclasses import dataclass

from app.deadlines.models import Calendar, Stage, Urgency

DAY_MINUTES = 420
"""One working day in the working calendar."""
HOUR = 60
DEFAULT_SESSIONS = (("08:30", "12:00"), ("14:30", "18:00"))


@dataclass(frozen=True, slots=True)
class LimitRule:
    """One limit; the fields are those of the table."""

    urgency: str
    stage: str
    minutes: int
    calendar: Calendar
    category_code: str | None = None
    level: str | None = None
    extension_days_max: int | None = None
    yellow_card_minutes: int | None = None
    red_card_minutes: int | None = None


def _always(urgency: Urgency, **minutes: int) -> tuple[LimitRule, ...]:
    return tuple(LimitRule(urgency, stage, amount, "always") for stage, amount in minutes.items())


def _days(urgency: Urgency, stage: Stage, days: int) -> LimitRule:
    return LimitRule(urgency, stage, days * DAY_MINUTES, "working")


DEFAULT_LIMITS: tuple[LimitRule, ...] = (
    *_always("critical", accept=15, dispatch=15, sign=15, handle=2 * HOUR, verify=24 * HOUR),
    *_always("urgent", accept=HOUR, dispatch=HOUR, sign=HOUR, handle=24 * HOUR, verify=24 * HOUR),
    _days("routine", "accept", 1),
    _days("routine", "dispatch", 1),
    _days("routine", "sign", 1),
    LimitRule(
        "routine",
        "handle",
        5 * DAY_MINUTES,
        "working",
        yellow_card_minutes=3 * DAY_MINUTES,
        red_card_minutes=7 * DAY_MINUTES,
    ),
    _days("routine", "verify", 2),
    _days("complex", "accept", 2),
    _days("complex", "dispatch", 1),
    _days("complex", "sign", 1),
    LimitRule("complex", "handle", 15 * DAY_MINUTES, "working", extension_days_max=10),
    _days("complex", "verify", 3),
)
