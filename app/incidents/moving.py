"""A move under way, and what every kind of move does with steps: stay, pass on, end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.accounts.models import Unit
from app.accounts.queries import parent_centre
from app.core.db import Json
from app.deadlines.limits import Deadlines
from app.incidents import errors
from app.incidents.commands import TransitionCommand
from app.incidents.models import Incident, Step
from app.incidents.rights import Surroundings
from app.incidents.status import FINAL, State, Transition
from app.incidents.steps import end, open_step, plan, start_clock


@dataclass(slots=True)
class Move:
    """One transition under way: the incident is locked, its rights are checked."""

    session: AsyncSession
    caller: Caller
    incident: Incident
    step: Step | None
    command: TransitionCommand
    row: Transition
    deadlines: Deadlines
    now: datetime
    around: Surroundings
    facts: Json
    other: Incident | None = None
    """The matter `into` names, locked with this one."""
    opened: Step | None = None
    words: str | None = None
    """What the history tells, where it is not the command's own text."""
    informs: tuple[UUID, ...] = field(default=())
    """Units told besides those of the step."""

    @property
    def current(self) -> Step:
        if self.step is None:
            raise errors.ActionNotAllowed(allowed_actions=[])
        return self.step

    async def unit(self) -> Unit:
        """Of the current step."""
        return await self.session.get_one(Unit, self.current.unit_id)


async def settle(moving: Move, after: State) -> None:
    """The step stays with its unit: its state and clock follow; a final state ends it."""
    step, incident = moving.step, moving.incident
    if after in FINAL:
        incident.current_step_id = None
        incident.wakes_at = None
        if step is not None:
            step.state = after
            end(step, moving.now)
            await end_assisting(moving.session, step, moving.now)
        return
    if moving.row.target is None:
        return
    if step is None:
        plan(incident, after, None)
        return
    if step.state == State.IN_PROGRESS:
        await end_assisting(moving.session, step, moving.now)
    step.state = after
    unit = await moving.unit()
    start_clock(step, incident, unit.level, moving.deadlines, moving.now)


async def begin_anew(moving: Move, after: State) -> None:
    """A first step, at the centre that owns it."""
    unit = await working_centre(moving.session, moving.incident.owner_unit_id)
    moving.opened = open_step(
        moving.session,
        moving.incident,
        unit,
        after,
        opened_by=unit.id,
        deadlines=moving.deadlines,
        now=moving.now,
    )


async def pass_on(moving: Move, unit: Unit, opened_by: UUID, after: State) -> None:
    """End the current step and open the next in one breath: the owner is never nobody."""
    moving.opened = await hand_over(
        moving.session,
        moving.incident,
        moving.current,
        unit,
        opened_by,
        after,
        moving.deadlines,
        moving.now,
    )


async def hand_over(
    session: AsyncSession,
    incident: Incident,
    ending: Step,
    unit: Unit,
    opened_by: UUID,
    after: State,
    deadlines: Deadlines,
    now: datetime,
) -> Step:
    end(ending, now)
    await end_assisting(session, ending, now)
    await session.flush()
    return open_step(
        session, incident, unit, after, opened_by=opened_by, deadlines=deadlines, now=now
    )


async def end_assisting(session: AsyncSession, leading: Step, now: datetime) -> None:
    """Who assists has done so when the leading unit's own stay is over."""
    for step in await assisting(session, leading):
        step.ended_at = now


async def assisting(session: AsyncSession, leading: Step) -> Sequence[Step]:
    rows = await session.scalars(
        select(Step).where(
            Step.incident_id == leading.incident_id,
            Step.assists == leading.id,
            Step.ended_at.is_(None),
        )
    )
    return rows.all()


async def working_centre(session: AsyncSession, unit_id: UUID) -> Unit:
    """The unit itself, or the nearest centre above where it was switched off (F31)."""
    unit = await session.get_one(Unit, unit_id)
    if unit.active:
        return unit
    return await parent_centre(session, unit) or unit
