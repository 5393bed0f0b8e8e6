"""Questions about incidents: one query builder for every list; scope is always in it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, literal_column, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.areas.locate import AreaMap
from app.core.db import one_of
from app.incidents.models import HistoryEntry, Incident, IncidentMedia, Step
from app.incidents.narrowing import narrowed
from app.incidents.schemas import ListQuery
from app.incidents.visibility import visible_to
from app.media.models import UNDER_WAY, MediaFile, Upload

AWAITED = IncidentMedia.state != literal_column("'stored'")
"""Written out, as the index over the few such rows is."""


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


def filtered(caller: Caller, wanted: ListQuery, areas: AreaMap, now: datetime) -> Select[Incident]:
    """The one query builder. Unordered, unlimited."""
    return select(Incident).where(visible_to(caller), *narrowed(caller, wanted, areas, now))


async def page(
    session: AsyncSession,
    query: Select[Incident],
    sort: str,
    after: Sequence[Any] | None,
    limit: int,
) -> Sequence[Incident]:
    """Limit + 1 rows after the position `[received_at, id]`."""
    key = tuple_(Incident.received_at, Incident.id)
    descending = sort.startswith("-")
    if after is not None:
        edge = tuple_(datetime.fromisoformat(after[0]), UUID(after[1]))
        query = query.where(key < edge if descending else key > edge)
    columns: tuple[Any, ...] = (Incident.received_at, Incident.id)
    order = [column.desc() if descending else column.asc() for column in columns]
    return (await session.scalars(query.order_by(*order).limit(limit + 1))).all()


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
