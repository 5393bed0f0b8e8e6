"""Opening what is told to few: with a reason, for a while, written down for those responsible."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.accounts.models import RoleHolding
from app.accounts.permissions import Role
from app.core import audit
from app.core.db import one_of
from app.core.events import record
from app.core.resources import KEYS
from app.incidents import errors
from app.incidents.events import GlassBroken
from app.incidents.models import Incident, Step
from app.incidents.opening_models import Clearance, Opening
from app.incidents.queries import visible_incident
from app.incidents.rights import is_reporter
from app.incidents.secrecy import own_keys, sealed_words
from app.incidents.visibility import STEPPING, has_step, is_above, is_responsible

OPEN_FOR = timedelta(minutes=30)
"""Then a reason is asked for again."""

Kind = Literal["content", "people", "glass"]


async def readable(
    session: AsyncSession, caller: Caller, incidents: Sequence[Incident], now: datetime
) -> frozenset[UUID]:
    """Which of these the caller may read now: open ones, own ones, and what they have opened."""
    closed = {each.id for each in incidents if each.sealed and not is_reporter(caller, each)}
    known = {each.id for each in incidents} - closed
    if closed:
        known |= set(
            await session.scalars(
                select(Opening.incident_id).where(
                    Opening.person_id == caller.id,
                    one_of(Opening.incident_id, closed),
                    Opening.kind != "people",
                    Opening.until > now,
                )
            )
        )
    return frozenset(known)


async def open_content(
    session: AsyncSession, caller: Caller, incident_id: UUID, reason: str, now: datetime
) -> Opening:
    """Raises IncidentNotFound, NotSealed."""
    incident = await _visible(session, caller, incident_id)
    if not incident.sealed:
        raise errors.NotSealed
    return await _open(session, caller, incident, "content", reason, now)


async def open_people(
    session: AsyncSession, caller: Caller, incident_id: UUID, reason: str, now: datetime
) -> Incident:
    """The matter, whose people may be shown now. Raises IncidentNotFound, ActionForbidden."""
    incident = await _visible(session, caller, incident_id)
    if not is_reporter(caller, incident) and not await _works_on(session, caller, incident):
        raise errors.ActionForbidden(allowed_actions=[])
    await _open(session, caller, incident, "people", reason, now)
    return incident


async def break_glass(
    session: AsyncSession, caller: Caller, number: str, reason: str, now: datetime
) -> Opening:
    """A sealed matter below one's own centre, whoever has it; they are told at once.

    Raises IncidentNotFound.
    """
    incident: Incident | None = await session.scalar(
        select(Incident).where(Incident.number == number, Incident.sealed)
    )
    if incident is None or not is_above(caller, incident):
        raise errors.IncidentNotFound
    await session.execute(
        insert_once(Clearance)
        .values(_clearance(incident, caller.id, caller, now) | {"broke_glass": True})
        .on_conflict_do_nothing()
    )
    broken = GlassBroken(
        incident_id=incident.id,
        number=incident.number,
        reporter_id=incident.reporter_id,
        sealed=True,
        actor_id=caller.id,
        unit_id=incident.owner_unit_id,
        state=incident.state,
    )
    await record(session, broken, at=now)
    return await _open(session, caller, incident, "glass", reason, now)


async def set_clearances(
    session: AsyncSession,
    caller: Caller,
    incident_id: UUID,
    people: Collection[UUID],
    now: datetime,
) -> Incident:
    """These handlers may know of it and no others; without any, every one of the unit.

    Who broke the glass is on no list and loses sight of it. Raises IncidentNotFound, NotSealed,
    ActionForbidden, PersonNotEligible.
    """
    incident = await responsible_for(session, caller, incident_id)
    if not incident.sealed:
        raise errors.NotSealed
    wanted = set(people)
    eligible = await session.scalars(
        select(RoleHolding.person_id).where(
            one_of(RoleHolding.person_id, wanted),
            RoleHolding.role == Role.HANDLER.value,
            exists().where(Step.incident_id == incident.id, Step.unit_id == RoleHolding.unit_id),
        )
    )
    if strangers := wanted - set(eligible):
        raise errors.PersonNotEligible(people=sorted(map(str, strangers)))
    await session.execute(delete(Clearance).where(Clearance.incident_id == incident.id))
    rows = [_clearance(incident, person, caller, now) for person in sorted(wanted)]
    if rows:
        await session.execute(insert_once(Clearance).values(rows))
    await _note(session, caller, incident, "sealed.cleared", now)
    return incident


async def responsible_for(session: AsyncSession, caller: Caller, incident_id: UUID) -> Incident:
    """Raises IncidentNotFound, ActionForbidden."""
    incident = await _visible(session, caller, incident_id)
    if not is_responsible(caller, incident):
        raise errors.ActionForbidden(allowed_actions=[])
    return incident


async def clearances_of(session: AsyncSession, incident: Incident) -> Sequence[Clearance]:
    rows = await session.scalars(
        select(Clearance)
        .where(Clearance.incident_id == incident.id)
        .order_by(Clearance.granted_at, Clearance.person_id)
    )
    return rows.all()


async def openings_of(
    session: AsyncSession, incident: Incident, after: UUID | None, limit: int
) -> Sequence[Opening]:
    """Newest first."""
    query = select(Opening).where(Opening.incident_id == incident.id)
    if after is not None:
        query = query.where(Opening.id < after)
    return (await session.scalars(query.order_by(Opening.id.desc()).limit(limit))).all()


async def _open(
    session: AsyncSession,
    caller: Caller,
    incident: Incident,
    kind: Kind,
    reason: str,
    now: datetime,
) -> Opening:
    own = own_keys(session.info[KEYS], incident)
    opening = Opening(
        incident_id=incident.id,
        kind=kind,
        person_id=caller.id,
        person_name=caller.name,
        reason=sealed_words(own, reason) or "",
        at=now,
        until=now if kind == "people" else now + OPEN_FOR,
    )
    session.add(opening)
    await session.flush()
    await _note(session, caller, incident, f"incident.opened_{kind}", now)
    return opening


async def _note(
    session: AsyncSession, caller: Caller, incident: Incident, action: str, now: datetime
) -> None:
    """That it was done; why stands in the matter."""
    target = ("incident", incident.id)
    await audit.note(session, at=now, actor_id=caller.id, action=action, target=target)


async def _visible(session: AsyncSession, caller: Caller, incident_id: UUID) -> Incident:
    incident = await visible_incident(session, caller, incident_id)
    if incident is None:
        raise errors.IncidentNotFound
    return incident


async def _works_on(session: AsyncSession, caller: Caller, incident: Incident) -> bool:
    found = select(Incident.id).where(Incident.id == incident.id, has_step(caller, *STEPPING))
    return await session.scalar(found) is not None


def _clearance(incident: Incident, person_id: UUID, by: Caller, now: datetime) -> dict[str, object]:
    return {
        "incident_id": incident.id,
        "person_id": person_id,
        "broke_glass": False,
        "granted_by": by.id,
        "granted_at": now,
    }
