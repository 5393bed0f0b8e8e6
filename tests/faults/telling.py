"""Events that people hear of, straight into the outbox."""

import asyncio
import random
from collections.abc import Sequence
from uuid import UUID

from app.core.db import new_id
from app.core.events import record_all
from app.incidents.events import IncidentCommented
from tests.faults.world import World

_BATCH = 10
"""Events of one transaction."""
_CHANCE = random.Random()  # noqa: S311 - when it happens, not a secret


async def tell_each(world: World, people: Sequence[UUID], count: int) -> dict[UUID, list[str]]:
    """So many remarks for each of them, written by two at once that commit in any order."""
    told: dict[UUID, list[str]] = {person: [] for person in people}

    async def write(mine: int) -> None:
        for start in range(mine, count, 2 * _BATCH):
            size = min(_BATCH, count - start)
            remarks = [(person, new_id()) for person in people for _ in range(size)]
            now = world.resources.clock.now()
            async with world.resources.sessions.begin() as session:
                await record_all(session, [(remark_to(*each), now) for each in remarks])
                await asyncio.sleep(_CHANCE.uniform(0, 0.3))
            for person, incident in remarks:
                told[person].append(str(incident))

    await asyncio.gather(write(0), write(_BATCH))
    return told


def remark_to(person: UUID, incident: UUID) -> IncidentCommented:
    return IncidentCommented(
        incident_id=incident,
        number="620802105-20260311-0001",
        reporter_id=person,
        sealed=False,
        actor_id=incident,
        unit_id=None,
        state="in_progress",
        history_seq=1,
    )
