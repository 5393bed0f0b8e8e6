"""The background process, by role."""

import asyncio
from collections.abc import Collection, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core.object_store import StoreUnavailable
from app.core.relay import Relay
from app.core.resources import Resources
from app.core.settings import Role
from app.media.sweeping import sweep
from app.reactions import REACTIONS

SWEEP_EVERY = timedelta(hours=1)

log = structlog.get_logger()


async def work(resources: Resources, roles: Collection[Role], stop: asyncio.Event) -> None:
    """Run the background roles until told to stop; a piece of work is ended at its border."""
    running: list[Coroutine[Any, Any, None]] = []
    if "relay" in roles:
        running.append(Relay(resources, REACTIONS).run(stop))
    if "jobs" in roles:
        running.append(_sweep_now_and_then(resources, stop))
    await asyncio.gather(stop.wait(), *running)


async def _sweep_now_and_then(resources: Resources, stop: asyncio.Event) -> None:
    """Two processes that sweep at once do the same harmless work."""
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), SWEEP_EVERY.total_seconds())
        if stop.is_set():
            return
        try:
            await sweep(resources)
        except (StoreUnavailable, SQLAlchemyError) as unavailable:
            log.warning("sweep_put_off", error=type(unavailable).__name__)
