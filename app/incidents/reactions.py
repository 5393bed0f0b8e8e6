"""Reactions: files that came are looked into or expected again; what is reported can be found."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import one_of
from app.core.events import Recorded, record
from app.core.jobs import defer
from app.core.relay import Tick
from app.core.sealed_store import is_sealed
from app.incidents.events import AttachmentLost, AttachmentStored, IncidentReported
from app.incidents.list_models import IncidentWords
from app.incidents.models import Incident, IncidentMedia
from app.media import derivatives
from app.media.events import FileDamaged
from app.media.models import MediaFile
from app.media.moving import SEAL


async def index_words(
    session: AsyncSession, events: Sequence[Recorded[IncidentReported]], _tick: Tick
) -> None:
    """Make the new matters searchable, in one statement; sealed ones never are."""
    ids = [each.event.incident_id for each in events if not each.event.sealed]
    words = func.words_of(Incident.text, Incident.number, Incident.place["address"].astext)
    new = select(Incident.id, words).where(Incident.id.in_(ids), Incident.sealed.is_(False))
    columns = [IncidentWords.incident_id, IncidentWords.words]
    await session.execute(insert(IncidentWords).from_select(columns, new).on_conflict_do_nothing())


async def look_into_files(
    session: AsyncSession,
    events: Sequence[Recorded[IncidentReported | AttachmentStored]],
    tick: Tick,
) -> None:
    """Have the files that came with a report, or after it, looked into; each once.

    Of a sealed matter only once their bytes are encrypted.
    """
    ids = {event.event.incident_id for event in events}
    files = await session.execute(
        select(MediaFile.id, MediaFile.object_key, Incident.sealed)
        .join(IncidentMedia, IncidentMedia.media_id == MediaFile.id)
        .join(Incident, Incident.id == IncidentMedia.incident_id)
        .where(one_of(IncidentMedia.incident_id, ids), MediaFile.state == "stored")
        .order_by(MediaFile.id)
    )
    rows = files.all()
    open_ = [row.id for row in rows if row.sealed and not is_sealed(row.object_key)]
    await defer(session, SEAL, open_)
    await derivatives.queue(session, [row.id for row in rows if row.id not in open_], tick.now)


async def ask_for_file_again(
    session: AsyncSession, events: Sequence[Recorded[FileDamaged]], tick: Tick
) -> None:
    """The place of a file that the store has lost is expected again, with the bytes that came."""
    for recorded in events:
        await _expect_again(session, recorded.event.file_id, tick.now)


async def _expect_again(session: AsyncSession, file_id: UUID, at: datetime) -> None:
    incident_id = await session.scalar(
        select(IncidentMedia.incident_id).where(IncidentMedia.media_id == file_id)
    )
    if incident_id is None:
        return
    incident = await session.get_one(
        Incident, incident_id, with_for_update=True, populate_existing=True
    )
    link = await session.scalar(
        select(IncidentMedia)
        .where(IncidentMedia.media_id == file_id)
        .execution_options(populate_existing=True)
    )
    if link is None:
        return
    file = await session.get_one(MediaFile, file_id)
    # whoever sends it again has to send the very bytes that were acknowledged
    link.size, link.sha256 = file.size, file.sha256
    link.state, link.media_id = "expected", None
    await session.flush()
    lost = AttachmentLost(
        incident_id=incident.id,
        number=incident.number,
        reporter_id=incident.reporter_id,
        sealed=incident.sealed,
        attachment_id=link.attachment_id,
        unit_id=incident.owner_unit_id,
        state=incident.state,
        added_by=link.added_by,
    )
    await record(session, lost, at=at)
