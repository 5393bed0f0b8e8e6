"""Handling: one transition, checked against the table, carried out, written down, announced."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.core.db import Json
from app.core.errors import RevisionRequired, RevisionStale
from app.core.events import record
from app.deadlines.limits import Deadlines
from app.incidents import (
    announcing,
    errors,
    finishing,
    merging,
    passing,
    rights,
    supervising,
    suspending,
)
from app.incidents.assignments import assigning_unit
from app.incidents.commands import TransitionCommand
from app.incidents.history import Entry, append
from app.incidents.models import Incident, IncidentMedia, Step
from app.incidents.moving import Move, settle
from app.incidents.status import BY_ACTION, ENDED, FREE, Action, State, Transition, Who
from app.incidents.visibility import visible_to

_FROM_OUTSIDE = frozenset({Who.OVERSEER, Who.LIFTER, Who.DESK, Who.SUPERVISOR, Who.DECIDER})
_WITH_ANOTHER = frozenset({Action.MERGE, Action.RELATE, Action.UNRELATE})


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
    incident, other = await _locked(session, caller, incident_id, command)
    step = await _current_step(session, incident)
    if not rights.could_ever(caller, incident, row):
        raise errors.ActionForbidden
    _check_revision(incident, command)
    around = await rights.look_around(session, [incident], [step] if step else [])
    _check_place(caller, incident, step, row, around, now)
    await _check_needs(session, incident, command, row)
    moving = Move(
        session,
        caller,
        incident,
        step,
        command,
        row,
        deadlines,
        now,
        around,
        dict(facts or {}),
        other,
    )
    await _carry_out(moving)
    return incident


async def _locked(
    session: AsyncSession, caller: Caller, incident_id: UUID, command: TransitionCommand
) -> tuple[Incident, Incident | None]:
    """The incident under its row lock, which also keeps its events in order.

    Where the action concerns another one too, both are locked in order of id: two that are merged
    into each other at once wait for one another only one way.
    """
    wanted = {incident_id}
    another = await _named(session, caller, command)
    if another is not None:
        wanted.add(another)
    rows = await session.scalars(
        select(Incident)
        .where(Incident.id.in_(wanted), visible_to(caller))
        .order_by(Incident.id)
        .with_for_update(of=Incident)
        .execution_options(populate_existing=True)
    )
    found = {incident.id: incident for incident in rows}
    if incident_id not in found:
        raise errors.IncidentNotFound
    return found[incident_id], found.get(another) if another else None


async def _named(session: AsyncSession, caller: Caller, command: TransitionCommand) -> UUID | None:
    """The other incident, by id or number; None where there is none for this caller."""
    if command.into is None or command.action not in _WITH_ANOTHER:
        return None
    try:
        is_it = Incident.id == UUID(command.into)
    except ValueError:
        is_it = Incident.number == command.into
    named: UUID | None = await session.scalar(select(Incident.id).where(is_it, visible_to(caller)))
    return named


async def _current_step(session: AsyncSession, incident: Incident) -> Step | None:
    if incident.current_step_id is None:
        return None
    return await session.get_one(Step, incident.current_step_id, populate_existing=True)


def _check_revision(incident: Incident, command: TransitionCommand) -> None:
    if command.action in FREE:
        return
    if command.revision is None:
        raise RevisionRequired
    if command.revision != incident.revision:
        raise RevisionStale


def _check_place(
    caller: Caller,
    incident: Incident,
    step: Step | None,
    row: Transition,
    around: rights.Surroundings,
    now: datetime,
) -> None:
    places = rights.standing(caller, incident, step, around)
    state = State(incident.state)
    possible = rights.allowed_actions(places, incident, step, around, now)
    if state not in row.sources:
        raise errors.ActionNotAllowed(state=state, allowed_actions=possible)
    if row.who not in places:
        raise errors.ActionForbidden(allowed_actions=possible)
    if row.action in rights.hindrances(incident, step, around, now):
        refusal = errors.UrgedAlready if row.action is Action.URGE else errors.ActionNotAllowed
        raise refusal(state=state, allowed_actions=possible)


async def _check_needs(
    session: AsyncSession, incident: Incident, command: TransitionCommand, row: Transition
) -> None:
    for needed in sorted(row.needs):
        if getattr(command, needed) in (None, []):
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
    await _effect_of(row)(moving, after)
    incident.state = after
    if after in ENDED and after is not before:
        moving.informs += assigning_unit(incident)
    if row.action not in FREE:
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
            text=moving.words or moving.command.outcome or moving.command.text,
            facts=_facts(moving),
        ),
        moving.now,
    )
    await moving.session.flush()
    verifying = await rights.verifying_unit(moving.session, incident, moving.step)
    events = announcing.events_of(moving, entry, verifying)
    await record(moving.session, *events, at=moving.now)


def _acting_unit(moving: Move) -> UUID | None:
    """The unit for which the caller acted; a reporter acts for nobody."""
    step = moving.step
    if step is None:
        owner = moving.incident.owner_unit_id
        return owner if moving.row.who is Who.OWNER else None
    held = {holding.unit_id for holding in moving.caller.holdings}
    beside = moving.around.assisting.get(step.incident_id, frozenset())
    near = (step.unit_id, step.opened_by, step.stand_in_unit_id, *sorted(beside))
    own = next((unit for unit in near if unit in held), None)
    overseeing = moving.row.who in _FROM_OUTSIDE
    return own or (next(iter(sorted(held)), None) if overseeing else None)


def _facts(moving: Move) -> Json:
    facts = dict(moving.facts)
    if moving.opened is not None:
        facts["to_unit"] = str(moving.opened.unit_id)
    if moving.command.attachments:
        facts["attachments"] = [str(item) for item in moving.command.attachments]
    return facts


Effect = Callable[[Move, State], Awaitable[None]]
_EFFECTS: dict[Action, Effect] = {
    Action.ESCALATE: passing.escalate,
    Action.HAND_DOWN: passing.hand_down,
    Action.DISPATCH: passing.dispatch,
    Action.REFUSE: passing.refuse,
    Action.ASSIST: passing.assist,
    Action.TRANSFER: passing.transfer,
    Action.COMPLETE: finishing.complete,
    Action.SELF_HANDLE: finishing.self_handle,
    Action.VERIFY_PASS: finishing.close,
    Action.CONFIRM: finishing.close,
    Action.VERIFY_FAIL: finishing.rework,
    Action.REJECT: finishing.reject,
    Action.RATE: finishing.rate,
    Action.REOPEN: finishing.reopen,
    Action.REQUEST_EXTENSION: suspending.request_extension,
    Action.DECIDE_EXTENSION: suspending.decide_extension,
    Action.REQUEST_SUSPENSION: suspending.request_suspension,
    Action.SUSPEND: suspending.suspend,
    Action.RESUME: suspending.resume,
    Action.MERGE: merging.merge,
    Action.UNMERGE: merging.unmerge,
    Action.RELATE: merging.relate,
    Action.UNRELATE: merging.unrelate,
    Action.SUPERVISE: supervising.supervise,
    Action.LIFT_SUPERVISION: supervising.lift_supervision,
    Action.URGE: supervising.urge,
    Action.RAISE_URGENCY: supervising.raise_urgency,
    Action.INFORM: supervising.inform,
    Action.ASSIGN_FROM_ABOVE: supervising.assign_from_above,
}


def _effect_of(row: Transition) -> Effect:
    return _EFFECTS.get(Action(row.action), settle)
