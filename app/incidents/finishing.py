"""Finishing: an outcome, its verification, what the reporter thinks of it, and once more."""

from app.incidents.moving import Move, begin_anew, settle
from app.incidents.status import State


async def complete(moving: Move, after: State) -> None:
    moving.incident.outcome = moving.command.outcome
    moving.incident.completed_by = moving.caller.id
    await settle(moving, after)


async def self_handle(moving: Move, after: State) -> None:
    moving.incident.self_handled = True
    moving.incident.closed_at = moving.now
    await complete(moving, after)


async def close(moving: Move, after: State) -> None:
    """Verified: supervision is cleared."""
    moving.incident.closed_at = moving.now
    moving.current.supervision = "normal"
    moving.current.supervised_level = None
    await settle(moving, after)


async def reject(moving: Move, after: State) -> None:
    """Nothing ends without words: the reason is what the reporter is told."""
    moving.incident.outcome = moving.command.reason
    await settle(moving, after)


async def rework(moving: Move, after: State) -> None:
    moving.incident.rework_count += 1
    await settle(moving, after)


async def rate(moving: Move, after: State) -> None:
    moving.incident.score = moving.command.score
    moving.facts["score"] = moving.command.score
    await settle(moving, after)


async def reopen(moving: Move, after: State) -> None:
    """Once, to the unit that handled it; a self-handled report gets its first step here."""
    incident = moving.incident
    incident.reopened_at = moving.now
    incident.closed_at = None
    if moving.step is not None:
        await settle(moving, after)
        return
    await begin_anew(moving, after)
