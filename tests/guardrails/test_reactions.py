"""Every reaction run twice changes nothing the second time: the relay promises at-least-once."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.events import OutboxRow, Recorded, parse
from app.core.relay import Reaction, Tick
from app.reactions import REACTIONS
from tests.guardrails.story import Story
from tests.guardrails.tables import fingerprints

ALL: dict[str, Reaction] = {
    reaction.__name__: reaction for reacting in REACTIONS.values() for reaction in reacting
}


async def _events(session: AsyncSession, reaction: Reaction) -> list[Recorded[Any]]:
    rows = await session.scalars(select(OutboxRow).order_by(OutboxRow.id))
    found = [Recorded(row.id, row.occurred_at, parse(row.name, row.payload)) for row in rows]
    return [each for each in found if reaction in REACTIONS[type(each.event)]]


async def _run(told: Story, reaction: Reaction, batches: Sequence[Sequence[Recorded[Any]]]) -> None:
    resources = told.district.resources
    for batch in batches:
        async with resources.sessions.begin() as session:
            await reaction(session, batch, Tick(resources.clock.now(), resources))


@pytest.mark.parametrize("name", sorted(ALL))
async def test_a_reaction_run_again_changes_nothing(told: Story, name: str) -> None:
    resources, reaction = told.district.resources, ALL[name]
    async with resources.sessions.read() as session:
        before = await fingerprints(session)
        events = await _events(session, reaction)
    assert events, f"the story has no event for {name}: let it tell one"
    told.district.clock.advance(timedelta(hours=1))  # a time written twice would show
    await _run(told, reaction, [events])
    await _run(told, reaction, [[event] for event in reversed(events)])
    async with resources.sessions.read() as session:
        assert await fingerprints(session) == before


async def test_the_whole_outbox_worked_off_again_changes_nothing(told: Story) -> None:
    resources = told.district.resources
    async with resources.sessions.begin() as session:
        before = await fingerprints(session)
        await session.execute(update(OutboxRow).values(processed_at=None))
    assert await told.district.drain()
    async with resources.sessions.read() as session:
        assert await fingerprints(session) == before
