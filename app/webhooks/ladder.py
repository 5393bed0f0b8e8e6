"""When the next attempt is due (pure): 5 s after the first, a day after the ninth, 75 h in all."""

import random
from datetime import timedelta

WAITS = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""After the 1st, 2nd … 9th failed try."""
TRIES = len(WAITS) + 1
JITTER = 0.2
_MOST = timedelta(hours=24)


def wait_after(tries: int, retry_after_s: int | None, chance: random.Random) -> timedelta | None:
    """How long to wait after so many failed tries; None: there is no further one.

    A platform's `Retry-After` makes it longer, never shorter, and never longer than a day.
    """
    if tries >= TRIES:
        return None
    wait = WAITS[tries - 1] * chance.uniform(1 - JITTER, 1 + JITTER)
    asked = min(timedelta(seconds=retry_after_s or 0), _MOST)
    return max(wait, asked)
