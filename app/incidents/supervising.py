"""Supervision and other words from outside the step: cards, urging, urgency, 知会, 交办."""

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from app.accounts.queries import centre_of_area, parent_centre, unit_by_ref
from app.incidents import errors
from app.incidents.assignments import assigned
from app.incidents.models import Incident, InformedUnit, Step
from app.incidents.moving import Move
from app.incidents.rights import overseeing_level
from app.incidents.status import STAGES, State
from app.incidents.steps import plan, set_due

CARDS = ("normal", "yellow", "red")
URGENCIES = ("routine", "complex", "urgent", "critical")
ABOVE = ("township", "district", "city", "province", "nation")


async def supervise(moving: Move, after: State) -> None:
    """Only upward."""
    del after  # the state stays
    step, level = moving.current, _level(moving, CARDS[1:])
    if not rises(step, level):
        raise errors.LevelNotHigher(level=step.supervision)
    unit = await moving.unit()
    raise_card(step, level, overseeing_level(moving.caller, moving.incident) or unit.level)
    moving.facts["level"] = level
    if level == "red" and void_extension(step):
        moving.facts["extension"] = "void"
    moving.informs = (step.opened_by,)


async def lift_supervision(moving: Move, after: State) -> None:
    del after  # the state stays
    step = moving.current
    moving.facts["level"] = step.supervision
    step.supervision, step.supervised_level = "normal", None


def rises(step: Step, level: str) -> bool:
    return CARDS.index(level) > CARDS.index(step.supervision)


def raise_card(step: Step, level: str, by_level: str) -> None:
    step.supervision, step.supervised_level = level, by_level


def void_extension(step: Step) -> bool:
    """A red card ends a pending request. False: there was none."""
    asked = step.extension_asked is not None
    step.extension_asked = step.decider_unit_id = None
    return asked


async def urge(moving: Move, after: State) -> None:
    del after  # the state stays
    moving.incident.urged_at = moving.now
    moving.informs = (moving.incident.owner_unit_id,)


async def raise_urgency(moving: Move, after: State) -> None:
    """The running clock gets the new limit from now on, and never more time than it had."""
    incident, level = moving.incident, _level(moving, URGENCIES[2:])
    if URGENCIES.index(level) <= URGENCIES.index(incident.urgency):
        raise errors.LevelNotHigher(level=incident.urgency)
    moving.facts |= {"from": incident.urgency, "level": level}
    incident.urgency = level
    step = moving.current
    unit = await moving.unit()
    if after in STAGES and step.due_at is not None:
        due = step.due_at
        kept = (step.yellow_at, step.yellow_card_at, step.red_card_at)
        started = max(moving.now, incident.moved_at or incident.received_at)
        before = (step.clock_started_at, step.handling_since)
        step.clock_started_at = incident.moved_at = started
        set_due(step, incident, unit.level, moving.deadlines)
        if step.due_at is not None and step.due_at > due:
            step.clock_started_at, step.handling_since = before
            step.due_at = due
            step.yellow_at, step.yellow_card_at, step.red_card_at = kept
        elif step.stage == "handle":
            step.handling_since = started
        plan(incident, after, step)
    if level == "critical" and not incident.sealed:
        moving.informs = await _all_levels(moving)


async def inform(moving: Move, after: State) -> None:
    """知会: the unit reads it, and owns nothing. Of a sealed matter nobody more is told."""
    del after  # the state stays
    reference = moving.command.to_unit or ""
    unit = await unit_by_ref(moving.session, reference)
    if unit is None or not unit.active or moving.incident.sealed:
        raise errors.UnitNotEligible(unit=reference)
    row = {"incident_id": moving.incident.id, "unit_id": unit.id, "informed_at": moving.now}
    await moving.session.execute(insert(InformedUnit).values(row).on_conflict_do_nothing())
    moving.facts["to_unit"] = str(unit.id)
    moving.informs = (unit.id,)


async def assign_from_above(moving: Move, after: State) -> None:
    """交办 / 包案: level, document, who leads it, what is required, by when."""
    command = moving.command
    level = _level(moving, ABOVE)
    incident = moving.incident
    today = moving.now.astimezone(moving.deadlines.zone).date()
    if command.due_on is None or command.due_on < today:
        raise errors.ReviewDateInvalid
    required = {
        "level": level,
        "document_number": command.document_number,
        "leading_official": command.leading_official,
        "requirement": command.text,
    }
    by = _assigning_unit(moving, incident)
    zone = moving.deadlines.zone
    incident.assignment = assigned(required, command.due_on, by, moving.now, zone)
    plan(incident, after, moving.current)
    moving.facts |= {"level": level, "due_on": command.due_on.isoformat()}
    moving.informs = (moving.current.opened_by,)


def _assigning_unit(moving: Move, incident: Incident) -> UUID:
    wanted = overseeing_level(moving.caller, incident)
    held = (each for each in moving.caller.holdings if each.level == wanted)
    return next((each.unit_id for each in held), moving.current.opened_by)


async def _all_levels(moving: Move) -> tuple[UUID, ...]:
    told = []
    above = await parent_centre(moving.session, await moving.unit())
    while above is not None:
        told.append(above.id)
        above = await parent_centre(moving.session, above)
    village = await centre_of_area(moving.session, [moving.incident.village_code or ""])
    return (*told, *(unit.id for unit in village.values()))


def _level(moving: Move, known: tuple[str, ...]) -> str:
    level = moving.command.level or ""
    if level not in known:
        raise errors.LevelInvalid(levels=list(known))
    return level
