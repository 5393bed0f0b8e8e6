"""Handling: one transition, checked against the table, carried out, written down, announced."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.accounts.models import Unit
from app.accounts.queries import parent_centre, unit_by_ref
from app.core.db import Json
from app.core.errors import RevisionRequired, RevisionStale
from app.core.events import record
from app.deadlines.limits import Deadlines
from app.incidents import announcing, errors, rights
from app.incidents.history import Entry, append
from app.incidents.models import Incident, IncidentMedia, Step
from app.incidents.schemas import TransitionCommand
from app.incidents.status import BY_ACTION, FINAL, Action, State, Transition
from app.incidents.steps import open_step, start_clock
from app.incidents.visibility import visible_to

_ANY_REVISION = frozenset({Action.COMMENT})
"""A remark is about the matter, not about one version of it."""


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
    facts: Json
    opened: Step | None = None

    @property
    def current(self) -> Step:
        if self.step is None:
            raise errors.ActionNotAllowed(allowed_actions=[])
        return self.step


async def move(
    session: AsyncSession,
    caller: Caller,
    incident_id: UUID,
    command: TransitionCommand,
    deadlines: Deadlines,
    now: datetime,
    facts: Json | None = None,
) -> Incident:
    """Carry out one transition. Raises the Problems of `errors`, RevisionRequired, RevisionStale.

    `facts`, ids and times only, stand in the history's entry beside what the move itself gives.
    The order of refusals is fixed: 404 outside the scope, 403 never yours, 428 and 412 revision,
    409 wrong state, 403 not yours now, 422 something missing.
    """
    row = BY_ACTION[command.action]
    incident, step = await _locked(session, caller, incident_id)
    if row is None or not rights.could_ever(caller, incident, row):
        raise errors.ActionForbidden
    _check_revision(incident, command)
    await _check_place(session, caller, incident, step, row)
    await _check_needs(session, incident, command, row)
    moving = Move(session, caller, incident, step, command, row, deadlines, now, facts or {})
    await _carry_out(moving)
    return incident


async def _locked(
    session: AsyncSession, caller: Caller, incident_id: UUID
) -> tuple[Incident, Step | None]:
    """The incident under its row lock, which also keeps its events in order."""
    incident = await session.scalar(
        select(Incident)
        .where(Incident.id == incident_id, visible_to(caller))
        .with_for_update(of=Incident)
        .execution_options(populate_existing=True)
    )
    if incident is None:
        raise errors.IncidentNotFound
    if incident.current_step_id is None:
        return incident, None
    return incident, await session.get_one(Step, incident.current_step_id, populate_existing=True)


def _check_revision(incident: Incident, command: TransitionCommand) -> None:
    if command.action in _ANY_REVISION:
        return
    if command.revision is None:
        raise RevisionRequired
    if command.revision != incident.revision:
        raise RevisionStale


async def _check_place(
    session: AsyncSession, caller: Caller, incident: Incident, step: Step | None, row: Transition
) -> None:
    around = await rights.look_around(session, [incident], [step] if step else [])
    places = rights.standing(caller, incident, step, around)
    state = State(incident.state)
    possible = rights.allowed_actions(places, state, step, around)
    if state not in row.sources:
        raise errors.ActionNotAllowed(state=state, allowed_actions=possible)
    if row.who not in places:
        raise errors.ActionForbidden(allowed_actions=possible)


async def _check_needs(
    session: AsyncSession, incident: Incident, command: TransitionCommand, row: Transition
) -> None:
    for needed in sorted(row.needs):
        if getattr(command, needed) is None:
            raise errors.FieldRequired(field=needed)
    wanted = set(command.attachments)
    known = set(
        await session.scalars(
            select(IncidentMedia.attachment_id).where(IncidentMedia.incident_id == incident.id)
        )
    )
    if not wanted <= known:
        raise errors.AttachmentNotFound(attachments=sorted(map(str, wanted - known)))
    if row.action is Action.SELF_HANDLE and not known:
        raise errors.EvidenceRequired


async def _carry_out(moving: Move) -> None:
    incident, row = moving.incident, moving.row
    before = State(incident.state)
    after = row.target or before
    await _EFFECTS.get(row.action, _settle)(moving, after)
    incident.state = after
    if row.action not in _ANY_REVISION:
        incident.revision += 1
    entry = append(
        moving.session,
        incident,
        Entry(
            action=row.action,
            from_state=before,
            to_state=after,
            step_id=moving.step.id if moving.step else None,
            actor=moving.caller,
            unit_id=_acting_unit(moving),
            reason=moving.command.reason,
            text=moving.command.outcome or moving.command.text,
            facts=_facts(moving),
        ),
        moving.now,
    )
    await moving.session.flush()
    verifying = await rights.verifying_unit(moving.session, incident, moving.step)
    events = announcing.events_of(
        incident, entry, moving.caller, moving.step, moving.opened, verifying, moving.command.score
    )
    await record(moving.session, *events, at=moving.now)


def _acting_unit(moving: Move) -> UUID | None:
    """The unit for which the caller acted; a reporter acts for nobody."""
    step = moving.step
    if step is None:
        return None
    held = {holding.unit_id for holding in moving.caller.holdings}
    return next((unit for unit in (step.unit_id, step.opened_by) if unit in held), None)


def _facts(moving: Move) -> Json:
    facts = dict(moving.facts)
    if moving.opened is not None:
        facts["to_unit"] = str(moving.opened.unit_id)
    if moving.command.attachments:
        facts["attachments"] = [str(item) for item in moving.command.attachments]
    if moving.row.action is Action.RATE:
        facts["score"] = moving.command.score
    return facts


async def _settle(moving: Move, after: State) -> None:
    """The step stays with its unit: its state and clock follow; a final state ends it."""
    step = moving.step
    if after in FINAL:
        moving.incident.current_step_id = None
        if step is not None:
            step.ended_at = moving.now
            step.due_at = step.yellow_at = step.stage = None
    if step is None or moving.row.target is None:
        return
    step.state = after
    level = (await moving.session.get_one(Unit, step.unit_id)).level
    start_clock(step, moving.incident, level, moving.deadlines, moving.now)


async def _complete(moving: Move, after: State) -> None:
    moving.incident.outcome = moving.command.outcome
    moving.incident.completed_by = moving.caller.id
    await _settle(moving, after)


async def _self_handle(moving: Move, after: State) -> None:
    await _complete(moving, after)
    moving.incident.self_handled = True
    moving.incident.closed_at = moving.now


async def _close(moving: Move, after: State) -> None:
    moving.incident.closed_at = moving.now
    await _settle(moving, after)


async def _reject(moving: Move, after: State) -> None:
    """Nothing ends without words: the reason is what the reporter is told."""
    moving.incident.outcome = moving.command.reason
    await _settle(moving, after)


async def _rework(moving: Move, after: State) -> None:
    moving.incident.rework_count += 1
    await _settle(moving, after)


async def _rate(moving: Move, after: State) -> None:
    moving.incident.score = moving.command.score
    await _settle(moving, after)


async def _escalate(moving: Move, after: State) -> None:
    unit = await moving.session.get_one(Unit, moving.current.unit_id)
    parent = await parent_centre(moving.session, unit)
    if parent is None:
        raise errors.NoSuperior
    await _pass_on(moving, parent, parent.id, after)


async def _hand_down(moving: Move, after: State) -> None:
    child = await _eligible(moving, "centre")
    await _pass_on(moving, child, child.id, after)


async def _dispatch(moving: Move, after: State) -> None:
    member = await _eligible(moving, "department")
    await _pass_on(moving, member, moving.current.unit_id, after)


async def _refuse(moving: Move, after: State) -> None:
    centre = await moving.session.get_one(Unit, moving.current.opened_by)
    await _pass_on(moving, centre, centre.id, after)


async def _eligible(moving: Move, kind: str) -> Unit:
    """`to_unit` by id or code: of that kind, active, and right below the owning centre."""
    reference = moving.command.to_unit or ""
    unit = await unit_by_ref(moving.session, reference)
    fits = unit is not None and unit.kind == kind and unit.active
    if unit is None or not fits or unit.parent_id != moving.current.unit_id:
        raise errors.UnitNotEligible(unit=reference)
    return unit


async def _pass_on(moving: Move, unit: Unit, opened_by: UUID, after: State) -> None:
    """End the current step and open the next in one breath: the owner is never nobody."""
    ending = moving.current
    ending.ended_at = moving.now
    await moving.session.flush()
    moving.opened = open_step(
        moving.session,
        moving.incident,
        unit,
        after,
        opened_by=opened_by,
        deadlines=moving.deadlines,
        now=moving.now,
    )


Effect = Callable[[Move, State], Awaitable[None]]
_EFFECTS: dict[Action, Effect] = {
    Action.ESCALATE: _escalate,
    Action.HAND_DOWN: _hand_down,
    Action.DISPATCH: _dispatch,
    Action.REFUSE: _refuse,
    Action.COMPLETE: _complete,
    Action.SELF_HANDLE: _self_handle,
    Action.VERIFY_PASS: _close,
    Action.VERIFY_FAIL: _rework,
    Action.REJECT: _reject,
    Action.RATE: _rate,
}
