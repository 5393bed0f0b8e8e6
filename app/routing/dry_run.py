"""A changed rule set tried on past matters: which of them would have gone elsewhere."""

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Unit
from app.areas.locate import AreaMap
from app.incidents.models import Incident
from app.routing.choosing import Board
from app.routing.queries import lies_in
from app.routing.rules import Choice, Rule
from app.routing.schemas import (
    MOST_CHANGED_SHOWN,
    DryRunReport,
    MovedMatter,
    MovedPair,
    NewRule,
    RoutedUnit,
    RuleWarning,
)

MOST_EXAMINED = 500_000
BATCH = 5_000
_MOST_PAIRS = 200

_COLUMNS = (
    Incident.id,
    Incident.number,
    Incident.received_at,
    Incident.category,
    Incident.root,
    Incident.urgency,
    Incident.sealed,
    Incident.grid_code,
    Incident.village_code,
    Incident.township_code,
    Incident.district_code,
)


@dataclass(frozen=True, slots=True)
class Question:
    """Which rules are tried against which, on what."""

    current: Sequence[Rule]
    changed: Sequence[Rule]
    current_version: int
    since: datetime
    until: datetime
    roots: frozenset[str]
    """Tops of the subtrees whose matters are looked at."""
    zone: ZoneInfo
    warnings: Sequence[RuleWarning] = ()


@dataclass
class Difference:
    """Counted while matters pass; only the newest changed ones are kept whole."""

    examined: int = 0
    pairs: Counter[tuple[Unit, Unit]] = field(default_factory=Counter)
    matters: list[MovedMatter] = field(default_factory=list)

    def report(self, question: Question) -> DryRunReport:
        most = self.pairs.most_common(_MOST_PAIRS)
        return DryRunReport(
            since=question.since,
            compared_with=question.current_version,
            truncated=self.examined >= MOST_EXAMINED,
            changed=self.pairs.total(),
            pairs=[
                MovedPair(
                    from_unit=RoutedUnit.model_validate(old),
                    to_unit=RoutedUnit.model_validate(new),
                    count=count,
                )
                for (old, new), count in most
            ],
            matters=self.matters,
            warnings=list(question.warnings),
        )


class Comparison:
    """Both sets' choices, each worked out once for all matters that rules can't tell apart."""

    def __init__(self, board: Board, question: Question) -> None:
        self._board = board
        self._sets = (question.current, question.changed)
        self._borders = _borders([*question.current, *question.changed])
        self._known: dict[Any, tuple[Choice, Choice] | None] = {}
        self._zone = question.zone

    def take(self, matter: Any, into: Difference) -> None:  # noqa: ANN401 - a row of _COLUMNS
        into.examined += 1
        choices = self._choices(matter)
        if choices is None or choices[0].unit_id == choices[1].unit_id:
            return
        old, new = (self._board.units[choice.unit_id] for choice in choices)
        into.pairs[old, new] += 1
        if len(into.matters) < MOST_CHANGED_SHOWN:
            into.matters.append(_moved(matter, (old, new), choices))

    def _choices(self, matter: Any) -> tuple[Choice, Choice] | None:  # noqa: ANN401 - see above
        at = matter.received_at.astimezone(self._zone).time()
        window = bisect_right(self._borders, at)
        key = (matter.category, matter.urgency, matter.sealed, window, *matter[-4:])
        if key not in self._known:
            self._known[key] = self._judged(matter, at)
        return self._known[key]

    def _judged(self, matter: Any, at: time) -> tuple[Choice, Choice] | None:  # noqa: ANN401 - see above
        """None where no centre is left above the place."""
        old, new = self._sets
        try:
            return self._board.choose(matter, old, at), self._board.choose(matter, new, at)
        except LookupError:
            return None


async def compare(
    session: AsyncSession,
    areas: AreaMap,
    question: Question,
    progress: Callable[[int], Any] = lambda _: None,
) -> tuple[int, DryRunReport]:
    """How many matters were examined, and what the changed rules would change. Reads only."""
    codes = [code for root in question.roots for code in areas.subtree(root)]
    above = {above for root in question.roots for above in _line(areas, root)}
    board = await Board.load(session, {*codes, *above}, [*question.current, *question.changed])
    comparison, difference = Comparison(board, question), Difference()
    async for rows in _batches(session, lies_in(areas, question.roots), question):
        for row in rows:
            comparison.take(row, difference)
        progress(difference.examined)
        # a batch is milliseconds of reckoning: others get their turn in between
        await asyncio.sleep(0)
    return difference.examined, difference.report(question)


async def _batches(
    session: AsyncSession, within: ColumnElement[bool], question: Question
) -> AsyncIterator[Sequence[Any]]:
    """Newest first, by the index over the time of receipt; never more than are examined."""
    key = tuple_(Incident.received_at, Incident.id)
    query = (
        select(*_COLUMNS)
        .where(
            Incident.received_at >= question.since, Incident.received_at <= question.until, within
        )
        .order_by(Incident.received_at.desc(), Incident.id.desc())
        .limit(BATCH)
    )
    rows: Sequence[Any] = (await session.execute(query)).all()
    left = MOST_EXAMINED
    while rows:
        yield rows
        left -= len(rows)
        if len(rows) < BATCH or left <= 0:
            return
        edge = tuple_(rows[-1].received_at, rows[-1].id)
        rows = (await session.execute(query.where(key < edge))).all()


@dataclass(slots=True)
class TriedOut:
    """A rule that is written nowhere."""

    name: str
    category: str | None
    urgency: str | None
    area_code: str | None
    from_time: str | None
    until_time: str | None
    level: str | None
    unit_code: str | None
    inform: Sequence[str]
    id: None = None
    version: None = None


def tried_out(rules: Sequence[NewRule]) -> list[TriedOut]:
    return [TriedOut(**rule.model_dump()) for rule in rules]


def since_of(days: int, now: datetime) -> datetime:
    return now - timedelta(days=days)


def _borders(rules: Collection[Rule]) -> list[time]:
    """Times of day at which any rule begins or ends to count."""
    texts = {text for rule in rules for text in (rule.from_time, rule.until_time) if text}
    return sorted(time.fromisoformat(text) for text in texts)


def _line(areas: AreaMap, code: str) -> list[str]:
    line = areas.lineage(code)
    return [each for each in (line.township, line.district) if each]


def _moved(matter: Any, units: tuple[Unit, Unit], choices: tuple[Choice, Choice]) -> MovedMatter:  # noqa: ANN401 - a row
    old, new = choices
    return MovedMatter(
        incident_id=matter.id,
        number=matter.number,
        category=matter.category,
        urgency=matter.urgency,
        received_at=matter.received_at,
        from_unit=units[0].code,
        to_unit=units[1].code,
        from_rule=old.rule.name if old.rule else None,
        to_rule=new.rule.name if new.rule else None,
    )
