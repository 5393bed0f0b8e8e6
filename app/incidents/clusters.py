"""Clusters: what undismissed links hold together, as far as the caller may see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.core import audit
from app.incidents.models import Incident
from app.incidents.relations import IncidentLink
from app.incidents.visibility import visible_to

LOOKING_BACK = timedelta(days=90)
_MOST_LINKS = 5_000


@dataclass(frozen=True, slots=True)
class Cluster:
    """`matters` oldest first."""

    matters: tuple[Incident, ...]
    links: tuple[IncidentLink, ...]

    @property
    def position(self) -> tuple[datetime, UUID]:
        """Newest matter, and the id: the order of lists."""
        return self.matters[-1].received_at, self.matters[0].id


async def clusters(
    session: AsyncSession, caller: Caller, category: str | None, now: datetime
) -> list[Cluster]:
    """Newest first. A link counts only where the caller sees both of its ends."""
    links = await _links(session, now - LOOKING_BACK)
    ids = {end for each in links for end in (each.earlier_id, each.later_id)}
    seen = await _visible(session, caller, ids, category)
    held = [each for each in links if each.earlier_id in seen and each.later_id in seen]
    return sorted(_joined(held, seen), key=lambda cluster: cluster.position, reverse=True)


async def visible_link(session: AsyncSession, caller: Caller, link_id: UUID) -> IncidentLink | None:
    """Locked. None where the caller does not see both ends."""
    found = await session.get(IncidentLink, link_id, with_for_update=True)
    if found is None:
        return None
    seen = await _visible(session, caller, {found.earlier_id, found.later_id}, None)
    return found if len(seen) == len({found.earlier_id, found.later_id}) else None


async def dismiss(
    session: AsyncSession, link: IncidentLink, reason: str, by: UUID, at: datetime
) -> None:
    """The link holds nothing together any more, and is not found again."""
    link.dismissed_at, link.dismissed_by, link.dismissed_for = at, by, reason
    await _note(session, link, "incident_link.dismissed", by, at)


async def restore(session: AsyncSession, link: IncidentLink, by: UUID, at: datetime) -> None:
    link.dismissed_at = link.dismissed_by = link.dismissed_for = None
    await _note(session, link, "incident_link.restored", by, at)


async def _note(
    session: AsyncSession, link: IncidentLink, action: str, by: UUID, at: datetime
) -> None:
    await session.flush()
    await audit.note(
        session,
        at=at,
        actor_id=by,
        action=action,
        target=("incident_link", link.id),
        earlier_id=str(link.earlier_id),
        later_id=str(link.later_id),
    )


async def _links(session: AsyncSession, since: datetime) -> Sequence[IncidentLink]:
    rows = await session.scalars(
        select(IncidentLink)
        .where(IncidentLink.found_at >= since, IncidentLink.dismissed_at.is_(None))
        .order_by(IncidentLink.found_at.desc(), IncidentLink.id)
        .limit(_MOST_LINKS)
    )
    return rows.all()


async def _visible(
    session: AsyncSession, caller: Caller, ids: set[UUID], category: str | None
) -> dict[UUID, Incident]:
    """A matter whose category was sealed after it was linked is left out too."""
    of_category = or_(Incident.root == category, Incident.category == category)
    rows = await session.scalars(
        select(Incident).where(
            Incident.id.in_(ids),
            visible_to(caller),
            Incident.sealed.is_(False),
            *([of_category] if category else []),
        )
    )
    return {incident.id: incident for incident in rows}


def _joined(links: Sequence[IncidentLink], seen: Mapping[UUID, Incident]) -> list[Cluster]:
    groups = joined([(each.earlier_id, each.later_id) for each in links])
    by_root: dict[UUID, list[IncidentLink]] = {}
    for each in links:
        by_root.setdefault(groups[each.earlier_id], []).append(each)
    made = []
    for held in by_root.values():
        ids = {end for each in held for end in (each.earlier_id, each.later_id)}
        matters = sorted((seen[id_] for id_ in ids), key=lambda row: (row.received_at, row.id))
        made.append(Cluster(tuple(matters), tuple(held)))
    return made


def joined(pairs: Sequence[tuple[UUID, UUID]]) -> dict[UUID, UUID]:
    """Each end → one member that stands for its group (pure)."""
    above: dict[UUID, UUID] = {}

    def top(one: UUID) -> UUID:
        above.setdefault(one, one)
        while above[one] != one:
            above[one] = above[above[one]]
            one = above[one]
        return one

    for one, other in pairs:
        above[top(one)] = top(other)
    return {each: top(each) for each in list(above)}
