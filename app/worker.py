"""The background process, by role."""

import asyncio
from collections.abc import Collection

from app.core.relay import Relay
from app.core.resources import Resources
from app.core.settings import Role
from app.reactions import REACTIONS


async def work(resources: Resources, roles: Collection[Role], stop: asyncio.Event) -> None:
    """Run the background roles until told to stop; a piece of work is ended at its border."""
    if "relay" in roles:
        await Relay(resources, REACTIONS).run(stop)
    else:
        await stop.wait()
