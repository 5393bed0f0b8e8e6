"""Followers: who reported a merged matter hears what came of the one it has become a part of."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.events import Recorded
from app.core.relay import Tick
from app.incidents.bonds import followers_of
from app.incidents.events import StateChanged
from app.incidents.status import State
from app.notifications import messages
from app.notifications.background import background_of
from app.notifications.inbox import Draft, write

_TOLD = frozenset(
    {State.HANDLED, State.CLOSED, State.REJECTED, State.TRANSFERRED, State.VOIDED, State.SUSPENDED}
)
"""Of the master's way only what its own reporter would call an answer."""


async def tell_followers(
    session: AsyncSession, events: Sequence[Recorded[StateChanged]], tick: Tick
) -> None:
    """One notice an outcome for each reporter of a merged matter, under the own number."""
    outcomes = [recorded for recorded in events if _is_answer(recorded.event)]
    if not outcomes:
        return
    ids = {recorded.event.incident_id for recorded in outcomes}
    followers = await followers_of(session, ids)
    if not followers:
        return
    background = await background_of(session, outcomes)
    drafts = [
        Draft(
            reporter_id,
            recorded.id,
            recorded.event.name,
            follower_id,
            number,
            State.MERGED,
            messages.of_master(recorded.event.action, background.told(recorded.event), number),
            recorded.at,
        )
        for recorded in outcomes
        for master_id, follower_id, number, reporter_id in followers
        if master_id == recorded.event.incident_id
    ]
    tick.subjects |= await write(session, drafts)


def _is_answer(event: StateChanged) -> bool:
    moved = event.from_state != event.to_state
    return moved and event.to_state in _TOLD and not event.step_opened
