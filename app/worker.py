"""The background process, by role."""

import asyncio
from collections.abc import Collection, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.accounts.lockout import prune_failures
from app.accounts.tokens import prune_sessions
from app.core import jobs
from app.core.audit_sealing import Sealing
from app.core.idempotency import prune as prune_answers
from app.core.object_store import StoreUnavailable
from app.core.relay import Relay
from app.core.resources import Resources
from app.core.settings import Role
from app.evidence.anchoring import anchor
from app.incidents.jobs import ExportMaker, prune_exports
from app.incidents.linking import find_links
from app.incidents.retention import retain
from app.incidents.taking_up import TakingUp
from app.media.jobs import JOBS
from app.media.sweeping import sweep
from app.notifications.reminding import Reminding
from app.reactions import REACTIONS
from app.routing.escalation import Clocks
from app.system.rereading import reread_by_night
from app.webhooks.callback_pump import CallbackPump
from app.webhooks.callbacks import prune_callbacks
from app.webhooks.endpoints import prune_deliveries
from app.webhooks.pump import Pump
from app.webhooks.sending import HttpSender

EVERY = timedelta(hours=1)

log = structlog.get_logger()


async def work(resources: Resources, roles: Collection[Role], stop: asyncio.Event) -> None:
    """Run the background roles until told to stop; a piece of work is ended at its border."""
    running: list[Coroutine[Any, Any, None]] = []
    if "relay" in roles:
        running.append(Relay(resources, REACTIONS).run(stop))
    if "pump" in roles:
        running.append(_pump(resources, stop))
        running.append(CallbackPump(resources).run(stop))
        running.append(Reminding(resources).run(stop))
    if "jobs" in roles:
        running.append(_keep_up(resources, stop))
        running.append(jobs.work(resources, JOBS, stop))
        running.append(Sealing(resources.sessions).run(stop))
        running.append(TakingUp(resources).run(stop))
        running.append(Clocks(resources).run(stop))
        running.append(ExportMaker(resources).run(stop))
    await asyncio.gather(stop.wait(), *running)


async def _pump(resources: Resources, stop: asyncio.Event) -> None:
    sender = HttpSender(resources.settings.webhooks.allowed_networks)
    try:
        await Pump(resources, sender).run(stop)
    finally:
        await sender.close()


async def _keep_up(resources: Resources, stop: asyncio.Event) -> None:
    """Upkeep every hour; two processes that do it at once do the same harmless work."""
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY.total_seconds())
        if not stop.is_set():
            await upkeep(resources)


async def upkeep(resources: Resources) -> None:
    """Link what came in, anchor the histories, sweep the store and read some of it back, forget.

    What fails is tried next hour.
    """
    for task in (_prune, _retain, prune_exports, find_links, anchor, sweep, reread_by_night):
        try:
            await task(resources)
        except (StoreUnavailable, SQLAlchemyError) as unavailable:
            log.warning("upkeep_put_off", error=type(unavailable).__name__)


async def _retain(resources: Resources) -> None:
    await retain(resources)


async def _prune(resources: Resources) -> None:
    now = resources.clock.now()
    async with resources.sessions.begin() as session:
        await prune_sessions(session, now)
        await prune_failures(session, now, resources.settings.tokens)
        await prune_answers(session, now)
        await prune_deliveries(session, now)
        await prune_callbacks(session, now)
