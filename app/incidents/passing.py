"""Passing on: up, down, to a member department, back again; beside it, or out of the house."""

from app.accounts.models import Unit
from app.accounts.queries import parent_centre, unit_by_ref
from app.core.db import new_id
from app.incidents import errors
from app.incidents.models import Step
from app.incidents.moving import Move, assisting, pass_on, settle, working_centre
from app.incidents.status import State


async def escalate(moving: Move, after: State) -> None:
    parent = await parent_centre(moving.session, await moving.unit())
    if parent is None:
        raise errors.NoSuperior
    moving.incident.bounce_count = 0
    await pass_on(moving, parent, parent.id, after)


async def hand_down(moving: Move, after: State) -> None:
    child = await _eligible(moving, "centre")
    moving.incident.bounce_count = 0
    await pass_on(moving, child, child.id, after)


async def dispatch(moving: Move, after: State) -> None:
    member = await _eligible(moving, "department")
    await pass_on(moving, member, moving.current.unit_id, after)


async def refuse(moving: Move, after: State) -> None:
    """Back to the dispatching centre, which decides for good after two bounces."""
    moving.incident.bounce_count += 1
    centre = await working_centre(moving.session, moving.current.opened_by)
    await pass_on(moving, centre, centre.id, after)


async def assist(moving: Move, after: State) -> None:
    """Another unit works beside the leading one, which stays responsible."""
    del after  # the leading step stays as it is
    leading = moving.current
    unit = await _beside(moving)
    moving.facts["to_unit"] = str(unit.id)
    moving.informs = (unit.id,)
    beside = Step(
        id=new_id(),
        incident_id=moving.incident.id,
        unit_id=unit.id,
        opened_by=leading.opened_by,
        assists=leading.id,
        state=State.IN_PROGRESS,
        opened_at=moving.now,
        ended_at=None,
        supervision="normal",
    )
    moving.session.add(beside)


async def transfer(moving: Move, after: State) -> None:
    """To a body outside: where it went and under which number is what the reporter is told."""
    command = moving.command
    told = f"已移送{command.external_body}，回执号 {command.receipt_number}"
    moving.words = "：".join(part for part in (told, command.text) if part)
    moving.incident.outcome = moving.words
    moving.incident.closed_at = moving.now
    await settle(moving, after)


async def _eligible(moving: Move, kind: str) -> Unit:
    """`to_unit` by id or code: of that kind, active, and right below the owning centre."""
    reference = moving.command.to_unit or ""
    unit = await unit_by_ref(moving.session, reference)
    fits = unit is not None and unit.kind == kind and unit.active
    if unit is None or not fits or unit.parent_id != moving.current.unit_id:
        raise errors.UnitNotEligible(unit=reference)
    return unit


async def _beside(moving: Move) -> Unit:
    """Active, not in it already, and of the same house: below the same centre or the one above."""
    reference, leading = moving.command.to_unit or "", moving.current
    unit = await unit_by_ref(moving.session, reference)
    centre = await moving.session.get_one(Unit, leading.opened_by)
    near = {leading.unit_id, centre.id, centre.parent_id} - {None}
    there = {step.unit_id for step in await assisting(moving.session, leading)} | {leading.unit_id}
    if unit is None or not unit.active or unit.id in there or unit.parent_id not in near:
        raise errors.UnitNotEligible(unit=reference)
    return unit
