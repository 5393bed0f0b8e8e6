"""How many requests a person, and a terminal, may send: buckets that fill again with time."""

from dataclasses import dataclass
from datetime import datetime
from math import ceil

from app.core.errors import TooManyRequests
from app.core.resources import Resources

_MOST = 50_000


@dataclass(slots=True)
class _Bucket:
    level: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left after this request."""

    remaining: int
    full_in_s: int


class Rates:
    """Buckets of one process. Get it with `resources.the(Rates)`."""

    def __init__(self, resources: Resources) -> None:
        self._clock = resources.clock
        self._burst = resources.settings.rate_burst
        self._per_s = resources.settings.rate_per_s
        self._buckets: dict[str, _Bucket] = {}

    def take(self, *subjects: str) -> Allowance:
        """Count one request of all of them; what the scarcest has left.

        Raises TooManyRequests with Retry-After and the RateLimit fields; then nothing is counted.
        """
        buckets = [self._filled(subject) for subject in subjects]
        least = min(bucket.level for bucket in buckets)
        if least < 1:
            wait = max(1, ceil((1 - least) / self._per_s))
            headers = {**self.fields(Allowance(0, wait)), "Retry-After": str(wait)}
            raise TooManyRequests(headers=headers)
        for bucket in buckets:
            bucket.level -= 1
        return Allowance(int(least - 1), ceil((self._burst - least + 1) / self._per_s))

    def fields(self, allowance: Allowance) -> dict[str, str]:
        """RateLimit and RateLimit-Policy (IETF draft-ietf-httpapi-ratelimit-headers-10)."""
        window = ceil(self._burst / self._per_s)
        return {
            "RateLimit-Policy": f'"default";q={self._burst};w={window}',
            "RateLimit": f'"default";r={allowance.remaining};t={allowance.full_in_s}',
        }

    def _filled(self, subject: str) -> _Bucket:
        now = self._clock.now()
        bucket = self._buckets.get(subject)
        if bucket is None:
            if len(self._buckets) >= _MOST:
                self._buckets.clear()
            bucket = self._buckets[subject] = _Bucket(self._burst, now)
        # a clock set back must not drain a bucket
        passed = max(0.0, (now - bucket.at).total_seconds())
        bucket.level = min(self._burst, bucket.level + passed * self._per_s)
        bucket.at = now
        return bucket
