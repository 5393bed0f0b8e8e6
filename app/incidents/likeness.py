"""How much two matters are alike, and why (pure). Never about people: place, time, kind, words."""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

WITHIN_M = 200.0
WITHIN = timedelta(hours=72)
LEAST = 0.3
"""Less alike than this is not worth showing."""

_METRES_A_DEGREE = 111_320.0
_NO_WORD = re.compile(r"[\W_0-9A-Za-z]+")

Kind = Literal[
    "same_picture",
    "similar_text",
    "near",
    "same_grid",
    "same_category",
    "same_time",
    "method_words",
]


@dataclass(frozen=True, slots=True)
class Reason:
    """`value`: metres of `near`, hours of `same_time`, share of text in common; else nothing."""

    kind: Kind
    value: float | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Likeness:
    score: float
    """0 to 1."""
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Traits:
    """What is compared of a matter. lon, lat: WGS-84."""

    category: str
    text: str
    at: datetime
    lon: float | None
    lat: float | None
    grid_code: str | None
    pictures: frozenset[bytes] = frozenset()
    """Digests of its pictures: equal ones are the same picture."""


def bare(text: str) -> str:
    """Chinese words only: no digits, letters or marks, so no phone, plate or number of anybody."""
    return _NO_WORD.sub(" ", unicodedata.normalize("NFKC", text)).strip()


def bigrams(text: str) -> frozenset[str]:
    """Pairs of neighbouring characters; nothing reaches over what `bare` leaves out."""
    return frozenset(
        word[start : start + 2] for word in bare(text).split() for start in range(len(word) - 1)
    )


def text_in_common(one: str, other: str) -> float:
    """Jaccard of the bigrams, 0 to 1; 0 where one of them has no words."""
    left, right = bigrams(one), bigrams(other)
    return len(left & right) / len(left | right) if left and right else 0.0


def metres_between(one: Traits, other: Traits) -> float | None:
    """On the plane that touches the point; None where one has no point."""
    if one.lon is None or one.lat is None or other.lon is None or other.lat is None:
        return None
    east = (one.lon - other.lon) * math.cos(math.radians(one.lat))
    return math.hypot(east, one.lat - other.lat) * _METRES_A_DEGREE


def likeness(one: Traits, other: Traits) -> Likeness | None:
    """None where they are too far apart in place or time, or too little alike.

    The same for either order. Both are of one category root: the caller has seen to that.
    """
    apart, metres = abs(one.at - other.at), metres_between(one, other)
    same_grid = one.grid_code is not None and one.grid_code == other.grid_code
    if apart > WITHIN or (metres > WITHIN_M if metres is not None else not same_grid):
        return None
    text = text_in_common(one.text, other.text)
    same = one.category == other.category
    pictures = bool(one.pictures & other.pictures)
    # a grid is hundreds of metres wide: without points, place tells little
    place = 1 - metres / WITHIN_M if metres is not None else 0.2
    time = 1 - apart / WITHIN
    score = 0.45 * text + 0.25 * place + 0.15 * time + 0.15 * same
    score = max(score, 0.95) if pictures else score
    if score < LEAST:
        return None
    reasons = (
        Reason("same_picture") if pictures else None,
        Reason("similar_text", round(text, 2)) if text > 0 else None,
        Reason("near", round(metres, 1)) if metres is not None else Reason("same_grid"),
        Reason("same_category") if same else None,
        Reason("same_time", round(apart.total_seconds() / 3600, 1)),
    )
    return Likeness(round(score, 3), _given(reasons))


def _given(reasons: Sequence[Reason | None]) -> tuple[Reason, ...]:
    return tuple(reason for reason in reasons if reason is not None)
