"""Custody: the sheet of one file, for those who may see the file itself."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.areas.datum import Datum
from app.core.resources import KEYS
from app.incidents import errors
from app.incidents.attachment_schemas import CustodyView, DerivativeView, RereadingView
from app.incidents.attachments import taken_view
from app.incidents.models import Incident, IncidentMedia
from app.incidents.openings import readable
from app.incidents.queries import visible_incident
from app.incidents.secrecy import opened
from app.incidents.visibility import knows_reporter
from app.media.models import Derivative, Examination, MediaFile, Rereading

_MOST = 1000


async def custody(
    session: AsyncSession,
    caller: Caller,
    incident_id: UUID,
    attachment_id: UUID,
    *,
    datum: Datum,
    now: datetime,
) -> CustodyView:
    """Raises IncidentNotFound, AttachmentNotFound; ActionForbidden where the reporter is hidden.

    And where a sealed matter was not opened with a reason.
    """
    incident = await visible_incident(session, caller, incident_id)
    if incident is None:
        raise errors.IncidentNotFound
    link = await session.get(IncidentMedia, (incident_id, attachment_id))
    if link is None:
        raise errors.AttachmentNotFound
    seen = await readable(session, caller, [incident], now)
    if not knows_reporter(caller, incident) or incident.id not in seen:
        raise errors.ActionForbidden(allowed_actions=[])
    file = await session.get(MediaFile, link.media_id) if link.media_id else None
    found = await session.get(Examination, file.id) if file else None
    said = opened(session.info[KEYS], incident)
    digest = file.sha256 if file else link.sha256
    return CustodyView(
        incident_id=incident.id,
        attachment_id=link.attachment_id,
        kind=link.kind,
        name=link.name,
        state="erased" if file is not None and file.state == "erased" else link.state,
        content_type=file.content_type if file else None,
        size=file.size if file else link.size,
        sha256=digest.hex() if digest else None,
        captured_at=link.captured_at,
        taken=taken_view(found, (said.lon, said.lat), datum) if found else None,
        uploaded_at=file.uploaded_at if file else None,
        uploaded_by=file.uploaded_by if file else None,
        terminal_id=file.terminal_id if file else None,
        clock_offset_s=_offset_s(incident, file),
        derivatives=await _derivatives(session, file),
        rereadings=await _rereadings(session, file),
    )


def _offset_s(incident: Incident, file: MediaFile | None) -> int | None:
    own = file.clock_offset_s if file else None
    return own if own is not None else incident.client_offset_s


async def _derivatives(session: AsyncSession, file: MediaFile | None) -> list[DerivativeView]:
    if file is None:
        return []
    rows = await session.scalars(
        select(Derivative).where(Derivative.file_id == file.id).order_by(Derivative.width)
    )
    return [
        DerivativeView(
            variant=row.variant,
            content_type=row.content_type,
            size=row.size,
            sha256=row.sha256.hex(),
            width=row.width,
            height=row.height,
        )
        for row in rows
    ]


async def _rereadings(session: AsyncSession, file: MediaFile | None) -> list[RereadingView]:
    if file is None:
        return []
    rows = await session.scalars(
        select(Rereading)
        .where(Rereading.file_id == file.id)
        .order_by(Rereading.at.desc(), Rereading.id.desc())
        .limit(_MOST)
    )
    return [RereadingView(at=row.at, purpose=row.purpose, found=row.found) for row in rows]
