"""Work that comes up again and again: done in turns until the process is told to stop."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import OutcomeUnknown

log = structlog.get_logger()


async def in_turns(
    turn: Callable[[], Awaitable[bool]], stop: asyncio.Event, every_s: float, lost: str
) -> None:
    """A turn that returns True is followed by the next at once, others after `every_s` seconds.

    A lost database is waited for as long; `lost` is what the log calls that.
    """
    while not stop.is_set():
        try:
            pause = 0.0 if await turn() else every_s
        except (SQLAlchemyError, OutcomeUnknown, OSError) as failure:
            log.warning(lost, error=type(failure).__name__)
            pause = every_s
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stop.wait()
