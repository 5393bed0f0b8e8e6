"""Which day is a working day: the calendar where it is published, else the week."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from types import MappingProxyType

import structlog

log = structlog.get_logger()

SATURDAY = 5


def warn_unpublished(year: int) -> None:
    """Legal holidays of that year are unknown: import its calendar."""
    log.warning("calendar_unpublished", year=year, fallback="monday_to_friday")


class Saying:
    """Says each year once, however often it is asked."""

    def __init__(self, say: Callable[[int], None] = warn_unpublished) -> None:
        self._say = say
        self._said: set[int] = set()

    def __call__(self, year: int) -> None:
        if year not in self._said:
            self._said.add(year)
            self._say(year)


class Workdays:
    """`workdays(day) -> bool`. A year is published when at least one of its days is listed."""

    def __init__(
        self, listed: Iterable[tuple[date, str]], unpublished: Callable[[int], None] | None = None
    ) -> None:
        """`listed` are (day, "workday" or "holiday"); `unpublished` hears of each year guessed."""
        self._listed: Mapping[date, bool] = MappingProxyType(
            {day: kind == "workday" for day, kind in listed}
        )
        self._published = frozenset(day.year for day in self._listed)
        self._unpublished = unpublished or Saying()

    def __call__(self, day: date) -> bool:
        if day.year not in self._published:
            self._unpublished(day.year)
        return self._listed.get(day, day.weekday() < SATURDAY)

    def published(self, year: int) -> bool:
        return year in self._published
