"""Questions about incidents: one query builder for every list; scope is always in it."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, literal_column, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.core.db import one_of
from app.incidents.list_schemas import Filters, ListQuery
from app.incidents.models import HistoryEntry, Incident, IncidentMedia, Step
from app.incidents.narrowing import Asking, is_narrow, narrowed
from app.incidents.queues import QUEUES, Queue
from app.incidents.sorting import ORDERS, Edge
from app.incidents.visibility import visible_to
from app.incidents.ways import seen_in_ways, ways_to_see
from app.media.models import UNDER_WAY, MediaFile, Upload

AWAITED = IncidentMedia.state != literal_column("'stored'")
"""Written out, as the index over the few such rows is."""

MOST_COUNTED = 10_000
"""As far as anything is counted: beyond it nobody reads on, and counting costs."""


async def visible_incident(
    session: AsyncSession, caller: Caller, incident_id: UUID
) -> Incident | None:
    """None where the incident does not exist for this caller."""
    found: Incident | None = await session.scalar(
        select(Incident).where(Incident.id == incident_id, visible_to(caller))
    )
    return found


async def visible_among(
    session: AsyncSession, caller: Caller, ids: Collection[UUID]
) -> frozenset[UUID]:
    """Those of them that exist for this caller."""
    rows = await session.scalars(
        select(Incident.id).where(Incident.id.in_(ids), visible_to(caller))
    )
    return frozenset(rows)


async def incident_by_id(session: AsyncSession, incident_id: UUID) -> Incident | None:
    """Without scope: for the intake's own question whether an id is taken."""
    return await session.get(Incident, incident_id, populate_existing=True)


def paging(asking: Asking, wanted: ListQuery, after: Edge | None) -> Select[Any]:
    """Limit + 1 rows after the position: each an incident, then the key it is sorted by."""
    order, most = ORDERS[wanted.sort], wanted.limit + 1
    parts = [
        select(Incident.id).where(*clauses, part).order_by(*(order.within or order.by)).limit(most)
        for clauses in _clauses(asking, wanted)
        for part in order.slices(after)
    ]
    query = select(Incident, *order.key).where(Incident.id.in_(_any_of(parts)))
    if order.joins is not None:
        query = query.join(Step, order.joins)
    return query.order_by(*order.by).limit(most)


async def page(
    session: AsyncSession, asking: Asking, wanted: ListQuery, after: Edge | None
) -> Sequence[Row[Any]]:
    """The rows of `paging`."""
    rows: Sequence[Row[Any]] = (await session.execute(paging(asking, wanted, after))).all()
    return rows


def counting(asking: Asking, wanted: Filters, most: int) -> Select[Any]:
    """A statement that counts to `most` and no further; a matter seen in two ways counts once."""
    ways = _clauses(asking, wanted)
    sights = seen_in_ways(asking.caller)
    parts = [
        select(Incident.id)
        .where(*clauses, *(way.is_not(true()) for way in sights[:number]))
        .limit(most)
        for number, clauses in enumerate(ways)
    ]
    found = union_all(*(_bounded(part) for part in parts)).limit(most).subquery()
    return select(func.count()).select_from(found)


async def counted(session: AsyncSession, asking: Asking, wanted: Filters) -> tuple[int, bool]:
    """How many, exact to MOST_COUNTED; True: there are more."""
    found = await session.scalar(counting(asking, wanted, MOST_COUNTED + 1)) or 0
    return min(found, MOST_COUNTED), found > MOST_COUNTED


def queueing(asking: Asking) -> Select[Any]:
    """One statement that counts every queue of the caller's desk."""
    most = MOST_COUNTED + 1
    counts = (counting(asking, Filters(queue=queue), most) for queue in QUEUES)
    return select(*(count.scalar_subquery() for count in counts))


async def queues_of(session: AsyncSession, asking: Asking) -> list[tuple[Queue, int, bool]]:
    """What waits in each queue; True: more than that."""
    counts = (await session.execute(queueing(asking))).one()
    return [
        (queue, min(count, MOST_COUNTED), count > MOST_COUNTED)
        for queue, count in zip(QUEUES, counts, strict=True)
    ]


def _clauses(asking: Asking, wanted: Filters) -> list[list[ColumnElement[bool]]]:
    """THE query builder: of list, count and export; one list of clauses a way to see."""
    ways = [visible_to(asking.caller)] if is_narrow(wanted) else ways_to_see(asking.caller)
    filters = narrowed(asking, wanted)
    return [[way, *filters] for way in ways]


def _any_of(parts: Sequence[Select[Any]]) -> Any:  # noqa: ANN401 - a subquery
    """Each reads tables of its own, though the list around it reads the same ones."""
    if len(parts) == 1:
        return parts[0].correlate(None)
    return union_all(*(_bounded(part) for part in parts))


def _bounded(part: Select[Any]) -> Any:  # noqa: ANN401 - a selectable
    """As a subquery: its ORDER BY and LIMIT are its own."""
    return select(part.subquery().c.id)


async def history_of(
    session: AsyncSession, incident_id: UUID, after: int, limit: int
) -> Sequence[HistoryEntry]:
    """Limit + 1 entries after `after`, in order."""
    rows = await session.scalars(
        select(HistoryEntry)
        .where(HistoryEntry.incident_id == incident_id, HistoryEntry.seq > after)
        .order_by(HistoryEntry.seq)
        .limit(limit + 1)
    )
    return rows.all()


class Listed(NamedTuple):
    """An attachment, its file, and its state with that of an upload which is under way."""

    link: IncidentMedia
    file: MediaFile | None
    state: str


async def attachments_of(session: AsyncSession, incident_ids: Collection[UUID]) -> Sequence[Listed]:
    """Attachments with their files, in the order of the report."""
    rows = await session.execute(
        select(IncidentMedia, MediaFile)
        .outerjoin(MediaFile, MediaFile.id == IncidentMedia.media_id)
        .where(IncidentMedia.incident_id.in_(incident_ids))
        .order_by(IncidentMedia.incident_id, IncidentMedia.position, IncidentMedia.attachment_id)
    )
    pairs = [(row[0], row[1]) for row in rows]
    coming = await _coming(session, [link for link, _ in pairs if link.state != "stored"])
    return [Listed(link, file, coming.get(link, link.state)) for link, file in pairs]


async def _coming(
    session: AsyncSession, links: Sequence[IncidentMedia]
) -> dict[IncidentMedia, str]:
    """`receiving` or `verifying` for those whose bytes are under way (I9)."""
    if not links:
        return {}
    uploads = (
        await session.execute(
            select(Upload.attachment_id, Upload.incident_id, Upload.owner_id, Upload.state).where(
                one_of(Upload.attachment_id, {link.attachment_id for link in links}),
                Upload.state.in_(UNDER_WAY),
            )
        )
    ).all()
    return {
        link: upload.state
        for link in links
        for upload in uploads
        if upload.attachment_id == link.attachment_id
        and (upload.incident_id or link.incident_id) == link.incident_id
        and (upload.incident_id or upload.owner_id == link.added_by)
    }


async def named_in(session: AsyncSession, upload: Upload) -> UUID | None:
    """The report of its creator that awaits this file."""
    found: UUID | None = await session.scalar(
        select(IncidentMedia.incident_id).where(
            IncidentMedia.attachment_id == upload.attachment_id,
            IncidentMedia.added_by == upload.owner_id,
            AWAITED,
        )
    )
    return found


async def current_steps(session: AsyncSession, incidents: Collection[Incident]) -> dict[UUID, Step]:
    """By incident id; an incident without a current step has no entry."""
    ids = [incident.current_step_id for incident in incidents if incident.current_step_id]
    if not ids:
        return {}
    rows = await session.scalars(select(Step).where(Step.id.in_(ids)))
    return {step.incident_id: step for step in rows}
