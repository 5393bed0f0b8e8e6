"""A matter whose time has come: what every move by itself is made of."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Unit
from app.core.db import Json
from app.core.events import Event, record
from app.deadlines.limits import Deadlines
from app.incidents import announcing
from app.incidents.assignments import assigning_unit
from app.incidents.history import Entry, append
from app.incidents.models import HistoryEntry, Incident, Step
from app.incidents.moving import end_assisting, hand_over, working_centre
from app.incidents.rights import verifying_unit
from app.incidents.staffed import centre_above
from app.incidents.status import ENDED, FINAL, Happening, State


@dataclass(slots=True)
class Waking:
    """The incident is locked by the caller, in whose transaction everything happens."""

    session: AsyncSession
    incident: Incident
    step: Step | None
    deadlines: Deadlines
    now: datetime
    opened: Step | None = None
    facts: Json = field(default_factory=dict)
    reason: str | None = None

    @property
    def current(self) -> Step:
        if self.step is None:
            raise LookupError(f"{self.incident.id} has no current step")
        return self.step

    async def unit(self) -> Unit:
        return await self.session.get_one(Unit, self.current.unit_id)


async def recall(waking: Waking) -> None:
    """Back to the dispatching centre from a unit that has nobody."""
    centre = await working_centre(waking.session, waking.current.opened_by)
    waking.reason = "办理单位无人办理"
    await _hand_over(waking, centre, Happening.RECALL, State.ACCEPTED)


async def climb(waking: Waking, centre: Unit) -> None:
    waking.reason = "逾期未受理"
    waking.incident.bounce_count = 0
    await _hand_over(waking, centre, Happening.CLIMB, State.SUBMITTED)


async def _hand_over(waking: Waking, unit: Unit, happening: Happening, after: State) -> None:
    waking.opened = await hand_over(
        waking.session,
        waking.incident,
        waking.current,
        unit,
        unit.id,
        after,
        waking.deadlines,
        waking.now,
    )
    waking.facts["to_unit"] = str(unit.id)
    await change(waking, happening, after)


async def change(waking: Waking, happening: Happening, after: State) -> None:
    """Write a change of state down and announce it, as `handling` does for people."""
    incident = waking.incident
    before = State(incident.state)
    incident.state = after
    incident.revision += 1
    if before is State.IN_PROGRESS and after in FINAL:
        await end_assisting(waking.session, waking.current, waking.now)
    entry = await write(waking, happening, after, before)
    events: Collection[Event] = announcing.changes(
        incident,
        entry,
        acting=waking.step,
        opened=waking.opened,
        verifying_unit_id=await verifying_unit(waking.session, incident, waking.step),
        informs=assigning_unit(incident) if after in ENDED else (),
    )
    await record(waking.session, *events, at=waking.now)


async def write(
    waking: Waking, happening: Happening, after: State, before: State | None = None
) -> HistoryEntry:
    entry = append(
        waking.session,
        waking.incident,
        Entry(
            action=happening,
            from_state=before or after,
            to_state=after,
            step_id=waking.step.id if waking.step else None,
            reason=waking.reason,
            facts=dict(waking.facts),
        ),
        waking.now,
    )
    await waking.session.flush()
    return entry


async def above(waking: Waking) -> tuple[UUID, ...]:
    """The centre it stands under and the one above; of a sealed matter only who has a step."""
    step = waking.current
    centre = await waking.session.get_one(Unit, step.opened_by)
    told = {centre.id} - {step.unit_id}
    parent = await centre_above(waking.session, centre)
    if parent is not None and not waking.incident.sealed:
        told.add(parent.id)
    return tuple(sorted(told))
