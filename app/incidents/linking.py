"""串并: links between matters done alike, near each other, in the same weeks, not people."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nlargest
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import Json, new_id
from app.core.resources import Resources
from app.incidents.likeness import Traits, metres_between
from app.incidents.method_words import method_words, telling
from app.incidents.models import Incident
from app.incidents.relations import IncidentLink
from app.incidents.status import State

REACH_M = 3_000.0
REACH = timedelta(days=30)
FRESH = timedelta(days=1)
"""Matters younger than this are linked again every hour: a run that failed is made up for."""
_MOST_LINKS = 5
"""Of one matter, to those before it: enough to hold a cluster together."""
_MOST_READ = 50_000
_AT_ONCE = 1_000
_GONE = (State.VOIDED.value, State.REJECTED.value)


@dataclass(frozen=True, slots=True)
class Done:
    """A matter and the method words in it."""

    id: UUID
    traits: Traits
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Link:
    earlier_id: UUID
    later_id: UUID
    score: float
    reasons: tuple[Json, ...]


def link(one: Done, other: Done) -> Link | None:
    """None where kind, words, place or time have nothing in common. Either order is the same."""
    earlier, later = sorted((one, other), key=lambda done: (done.traits.at, done.id))
    shared = earlier.words & later.words
    apart = later.traits.at - earlier.traits.at
    if earlier.id == later.id or not telling(shared) or apart > REACH:
        return None
    if earlier.traits.category != later.traits.category:
        return None
    metres = metres_between(earlier.traits, later.traits)
    same_grid = (
        earlier.traits.grid_code is not None and earlier.traits.grid_code == later.traits.grid_code
    )
    if metres > REACH_M if metres is not None else not same_grid:
        return None
    place = 1 - metres / REACH_M if metres is not None else 0.5
    words = len(shared) / len(earlier.words | later.words)
    score = 0.2 + 0.4 * words + 0.25 * place + 0.15 * (1 - apart / REACH)
    near = _reason("near", round(metres, 1)) if metres is not None else _reason("same_grid")
    reasons = (
        _reason("method_words", words=sorted(shared)),
        _reason("same_category"),
        near,
        _reason("same_time", round(apart.total_seconds() / 3600, 1)),
    )
    return Link(earlier.id, later.id, round(score, 3), reasons)


def links_among(fresh: Iterable[Done], known: Sequence[Done]) -> Iterator[Link]:
    """For each fresh matter its best links to those before it."""
    by_word: defaultdict[tuple[str, str], list[Done]] = defaultdict(list)
    for done in known:
        for word in telling(done.words):
            by_word[done.traits.category, word].append(done)
    for done in fresh:
        others = {
            other.id: other
            for word in telling(done.words)
            for other in by_word[done.traits.category, word]
            if (other.traits.at, other.id) < (done.traits.at, done.id)
        }
        found = (each for other in others.values() if (each := link(other, done)))
        yield from nlargest(_MOST_LINKS, found, key=lambda each: (each.score, each.earlier_id))


async def find_links(resources: Resources) -> None:
    """The periodic run: link what came in lately to the weeks before it."""
    now = resources.clock.now()
    async with resources.sessions.begin() as session:
        await link_since(session, now - FRESH, now)


async def link_since(session: AsyncSession, since: datetime, now: datetime) -> int:
    """Write the links of matters received since then; how many are new.

    Sealed matters have none. A second run changes nothing, and what was dismissed stays so.
    """
    known = [done for row in await _recent(session, since - REACH) if (done := _done(row)).words]
    fresh = [done for done in known if done.traits.at >= since]
    rows = [
        {
            "id": new_id(),
            "earlier_id": each.earlier_id,
            "later_id": each.later_id,
            "score": each.score,
            "reasons": list(each.reasons),
            "found_at": now,
        }
        for each in links_among(fresh, known)
    ]
    written = 0
    for start in range(0, len(rows), _AT_ONCE):
        some = insert(IncidentLink).values(rows[start : start + _AT_ONCE])
        new = await session.scalars(some.on_conflict_do_nothing().returning(IncidentLink.id))
        written += len(new.all())
    return written


async def _recent(session: AsyncSession, since: datetime) -> Sequence[Any]:
    rows = await session.execute(
        select(
            Incident.id,
            Incident.category,
            Incident.text,
            Incident.received_at,
            Incident.lon,
            Incident.lat,
            Incident.grid_code,
        )
        .where(
            Incident.received_at >= since,
            Incident.sealed.is_(False),
            Incident.state.not_in(_GONE),
        )
        .order_by(Incident.received_at.desc(), Incident.id)
        .limit(_MOST_READ)
    )
    return rows.all()


def _done(row: Any) -> Done:  # noqa: ANN401 - a row of `_recent`
    traits = Traits(
        category=row.category,
        text="",
        at=row.received_at,
        lon=row.lon,
        lat=row.lat,
        grid_code=row.grid_code,
    )
    return Done(row.id, traits, method_words(row.text))


def _reason(kind: str, value: float | None = None, words: Sequence[str] = ()) -> Json:
    return {"kind": kind, "value": value, "words": list(words)}
