"""Adopting: a file that came before its report takes its place once a report names it.

Report and upload each look for the other after their own commit, so that one of the two sees it;
the worker looks again for those whose process was killed in between.
"""

from collections.abc import Collection
from uuid import UUID

import structlog
from sqlalchemy import Select, and_, delete, literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.resources import Resources
from app.incidents import completing
from app.incidents.models import Incident, IncidentMedia
from app.incidents.queries import AWAITED, named_in
from app.incidents.reporting import UNNAMED
from app.media.errors import AttachmentsDiffer
from app.media.finishing import discard
from app.media.models import MediaFile, Upload

_BEGUN = text("""
    SELECT 1 FROM uploads
    WHERE owner_id = :owner AND attachment_id = ANY(:ids) AND state <> 'rejected' LIMIT 1""")

log = structlog.get_logger()


async def has_begun(resources: Resources, owner_id: UUID, attachment_ids: Collection[UUID]) -> bool:
    """Whether this person has uploads of any of these attachments; one cheap question."""
    asked = {"owner": owner_id, "ids": list(attachment_ids)}
    return bool(attachment_ids) and bool(await resources.sessions.rows(_BEGUN, asked))


async def adopt(resources: Resources, incident_id: UUID) -> None:
    """Files of finished uploads take the places that this matter still awaits.

    What is not as the manifest says is rejected, so that the phone sends it again.
    """
    unfit: list[Upload] = []
    at = resources.clock.now()
    async with resources.sessions.begin() as session:
        incident = await completing.locked(session, incident_id)
        taken: list[IncidentMedia] = []
        question = _homeless().where(IncidentMedia.incident_id == incident_id)
        for upload, link in (await session.execute(question.with_for_update(of=Upload))).all():
            if await _fits(session, upload, link):
                await _give(session, incident, upload, link)
                taken.append(link)
            else:
                await _refuse(session, upload, link)
                unfit.append(upload)
        await completing.tell_stored(session, incident, taken, at)
    for upload in unfit:
        await discard(resources, upload)


async def adopt_upload(resources: Resources, upload: Upload) -> None:
    """The file of a finished upload that no report had named when it was kept."""
    if upload.state != "stored" or upload.incident_id is not None:
        return
    async with resources.sessions.read() as session:
        incident_id = await named_in(session, upload)
    if incident_id is not None:
        await adopt(resources, incident_id)


async def adopt_all(resources: Resources) -> int:
    """Those that were left over. How many matters had some."""
    question = _homeless().order_by(None).with_only_columns(IncidentMedia.incident_id).distinct()
    async with resources.sessions.read() as session:
        found = list(await session.scalars(question))
    for incident_id in found:
        await adopt(resources, incident_id)
    return len(found)


def _homeless() -> Select[Upload, IncidentMedia]:
    """Finished uploads of nobody's report, and the places that await them."""
    named = and_(
        IncidentMedia.attachment_id == Upload.attachment_id,
        IncidentMedia.added_by == Upload.owner_id,
    )
    return (
        select(Upload, IncidentMedia)
        .join(IncidentMedia, named)
        .where(
            Upload.state == literal_column("'stored'"),
            Upload.incident_id.is_(None),
            Upload.media_id.is_not(None),
            AWAITED,
        )
        .order_by(Upload.id)
    )


async def _fits(session: AsyncSession, upload: Upload, link: IncidentMedia) -> bool:
    file = await session.get_one(MediaFile, upload.media_id)
    return not completing.differs(link, file.kind, file.size, file.sha256)


async def _give(
    session: AsyncSession, incident: Incident, upload: Upload, link: IncidentMedia
) -> None:
    file = await session.get_one(MediaFile, upload.media_id)
    if link.name == UNNAMED:
        link.name = file.filename
    file.filename, file.captured_at = link.name, link.captured_at
    link.media_id, link.state = file.id, "stored"
    upload.incident_id = incident.id
    log.info("upload_adopted", upload=upload.id[:8])


async def _refuse(session: AsyncSession, upload: Upload, link: IncidentMedia) -> None:
    await session.execute(delete(MediaFile).where(MediaFile.id == upload.media_id))
    upload.state, upload.refusal, upload.media_id = "rejected", AttachmentsDiffer.code, None
    link.state = "rejected"
    log.info("upload_rejected", upload=upload.id[:8], code=upload.refusal)
