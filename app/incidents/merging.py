"""Matters that are one and the same (并件), and matters that belong together."""

from sqlalchemy import delete, insert

from app.incidents import errors
from app.incidents.models import Incident
from app.incidents.moving import Move, begin_anew, settle
from app.incidents.relations import Relation
from app.incidents.status import OPEN, State

_MASTERS = OPEN - {State.RETURNED}


async def merge(moving: Move, after: State) -> None:
    """It follows its master from now on: the reporter hears the master's outcome."""
    incident, master = moving.incident, other_of(moving)
    alike = master.sealed == incident.sealed
    if master.id == incident.id or State(master.state) not in _MASTERS or not alike:
        raise errors.IncidentNotEligible(into=moving.command.into)
    incident.merged_into, incident.merged_at = master.id, moving.now
    moving.facts["into"] = str(master.id)
    await settle(moving, after)


async def unmerge(moving: Move, after: State) -> None:
    """Back to the centre that merged it, which begins with it anew."""
    incident = moving.incident
    moving.facts["into"] = str(incident.merged_into)
    incident.merged_into = incident.merged_at = None
    await begin_anew(moving, after)


async def relate(moving: Move, after: State) -> None:
    del after  # the state stays
    incident, other = moving.incident, other_of(moving)
    known = moving.around.related.get(incident.id, ())
    if other.id == incident.id or other.id in known or other.sealed != incident.sealed:
        raise errors.IncidentNotEligible(into=moving.command.into)
    low, high = sorted((incident.id, other.id))
    row = {
        "low_id": low,
        "high_id": high,
        "related_by": moving.caller.id,
        "related_at": moving.now,
    }
    await moving.session.execute(insert(Relation).values(row))
    moving.facts["into"] = str(other.id)


async def unrelate(moving: Move, after: State) -> None:
    del after  # the state stays
    incident, other = moving.incident, other_of(moving)
    if other.id not in moving.around.related.get(incident.id, ()):
        raise errors.IncidentNotEligible(into=moving.command.into)
    low, high = sorted((incident.id, other.id))
    await moving.session.execute(
        delete(Relation).where(Relation.low_id == low, Relation.high_id == high)
    )
    moving.facts["into"] = str(other.id)


def other_of(moving: Move) -> Incident:
    """The matter that `into` names. Raises IncidentNotEligible for one outside the scope."""
    if moving.other is None:
        raise errors.IncidentNotEligible(into=moving.command.into)
    return moving.other
