"""Time that counts only inside office sessions of working days (pure)."""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise

_NONE = timedelta()
_MINUTE = timedelta(minutes=1)
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")


class SessionsInvalid(ValueError):  # noqa: N818 - names the fact
    """Office sessions must be `HH:MM` pairs, each ending after it starts, in order and apart."""


def read_sessions(sessions: Sequence[Sequence[str]]) -> tuple[tuple[timedelta, timedelta], ...]:
    """`[["08:30", "12:00"], …]` as offsets from local midnight. Raises SessionsInvalid."""
    try:
        read = tuple((_offset(begin), _offset(end)) for begin, end in sessions)
    except ValueError as broken:
        raise SessionsInvalid from broken
    apart = all(first[1] < second[0] for first, second in pairwise(read))
    if not read or not apart or any(begin >= end for begin, end in read):
        raise SessionsInvalid
    return read


def _offset(clock: str) -> timedelta:
    if not _CLOCK.fullmatch(clock):
        raise ValueError(clock)
    hours, minutes = clock.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes))


class WorkingTime:
    """Adds and measures working time. Answers are UTC; a day is the local day of `zone`.

    Every session is closed at both ends: a deadline may end at 12:00 sharp. Wall-clock lengths
    are counted, which is exact where the zone has no summer time (China).
    """

    def __init__(
        self,
        sessions: Sequence[Sequence[str]],
        is_workday: Callable[[date], bool],
        zone: tzinfo,
    ) -> None:
        self._sessions = read_sessions(sessions)
        self._is_workday = is_workday
        self._zone = zone
        self._years: dict[int, tuple[date, ...]] = {}
        self._day = sum((end - begin for begin, end in self._sessions), _NONE)

    @property
    def day_minutes(self) -> int:
        """Office minutes of one working day."""
        return self._day // _MINUTE

    def add(self, start: datetime, minutes: int) -> datetime:
        """The instant `minutes` of working time after `start`; see `after`."""
        return self.after(start, timedelta(minutes=minutes))

    def after(self, start: datetime, span: timedelta) -> datetime:
        """The first instant by which `span` was worked; an empty span gives the next open one.

        A start outside office hours counts from the next session. Raises ValueError for a
        negative span.
        """
        if span < _NONE:
            raise ValueError("working time is added forwards only")
        if span == _NONE:
            return self._next_open(start)
        year, index, worked = self._position(start)
        days, rest = divmod(worked + span, self._day)
        if not rest:  # ends with a day's last session, not with the start of the next one
            days, rest = days - 1, self._day
        return self._instant(self._workday(year, index + days), rest)

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        """Working time between two instants; negative when `end` is the earlier one."""
        if end < start:
            return -self.elapsed(end, start)
        first_year, first, worked_first = self._position(start)
        last_year, last, worked_last = self._position(end)
        between = sum(len(self._workdays(year)) for year in range(first_year, last_year))
        return (between + last - first) * self._day + worked_last - worked_first

    def between(self, start: datetime, end: datetime) -> int:
        """Whole working minutes between two instants, rounded down."""
        return self.elapsed(start, end) // _MINUTE

    def _position(self, instant: datetime) -> tuple[int, int, timedelta]:
        """Year, working days of that year gone before the local day, time worked on the day."""
        local = instant.astimezone(self._zone)
        days = self._workdays(local.year)
        index = bisect_left(days, local.date())
        if index == len(days) or days[index] != local.date():
            return local.year, index, _NONE
        clock = _since_midnight(local)
        worked = (min(max(clock - begin, _NONE), end - begin) for begin, end in self._sessions)
        return local.year, index, sum(worked, _NONE)

    def _next_open(self, start: datetime) -> datetime:
        local = start.astimezone(self._zone)
        year, index, _ = self._position(start)
        day = self._workday(year, index)
        if day == local.date():
            for begin, end in self._sessions:
                if _since_midnight(local) <= end:
                    return self._at(day, max(begin, _since_midnight(local)))
            day = self._workday(year, index + 1)
        return self._at(day, self._sessions[0][0])

    def _instant(self, day: date, worked: timedelta) -> datetime:
        """The first instant of the day by which `worked` (> 0) was worked."""
        for begin, end in self._sessions:
            if worked <= end - begin:
                return self._at(day, begin + worked)
            worked -= end - begin
        raise AssertionError("more than a day in a day")

    def _at(self, day: date, since_midnight: timedelta) -> datetime:
        local = datetime(day.year, day.month, day.day, tzinfo=self._zone) + since_midnight
        return local.astimezone(UTC)

    def _workday(self, year: int, index: int) -> date:
        """The working day number `index` counted from 1 January of `year`."""
        while index >= len(self._workdays(year)):
            index -= len(self._workdays(year))
            year += 1
        return self._workdays(year)[index]

    def _workdays(self, year: int) -> tuple[date, ...]:
        """All working days of a year: asked once, so that a long span costs a step a year."""
        if year not in self._years:
            first = date(year, 1, 1)
            count = (date(year, 12, 31) - first).days + 1
            days = (first + timedelta(days=n) for n in range(count))
            self._years[year] = tuple(day for day in days if self._is_workday(day))
        return self._years[year]


def _since_midnight(local: datetime) -> timedelta:
    return local.replace(tzinfo=None) - datetime(local.year, local.month, local.day)  # noqa: DTZ001 - wall clock
