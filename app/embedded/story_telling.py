"""How the demonstration speaks: each step with the time since its start, each stream line."""

import sys
import time
from functools import cache


def tell(line: str) -> None:
    """One step, as it happens."""
    print(f"[{_since_first_step():6.2f} s] {line}", flush=True)


def tell_stream(line: str) -> None:
    """One line of the worker's live stream, as it arrived."""
    tell(f"    推送 stream │ {line}")


def tell_end() -> None:
    tell("演示完成，全部核对通过 (the story is complete, every check passed)")


def tell_failure(reason: str) -> None:
    print(f"etong demo: 演示失败 failed: {reason}", file=sys.stderr, flush=True)


def _since_first_step() -> float:
    started = _first_step()
    return time.monotonic() - started


@cache
def _first_step() -> float:
    return time.monotonic()
