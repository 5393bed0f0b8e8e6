"""A breaker: what keeps failing is not asked again for a while, so that its callers fail fast."""

import time
from collections.abc import Callable


class Breaker:
    """Closed until `threshold` failures in a row; then open for `open_s` seconds, then one probe.

    Used from one event loop, so no lock is needed.
    """

    def __init__(
        self,
        threshold: int = 5,
        open_s: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold = threshold
        self._open_s = open_s
        self._monotonic = monotonic
        self._failures = 0
        self._closed_again_at = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures >= self._threshold

    def admits(self) -> bool:
        """Whether a call may go out now. While open one caller an interval is the probe."""
        if not self.is_open:
            return True
        now = self._monotonic()
        if now < self._closed_again_at:
            return False
        self._closed_again_at = now + self._open_s
        return True

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        if self.is_open:
            self._closed_again_at = self._monotonic() + self._open_s
