"""Bringing: a resumable upload becomes the attachment that a report waits for."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.accounts.permissions import Permission
from app.accounts.recognition import load_caller
from app.accounts.sign_in_errors import SessionEnded
from app.core.db import new_id
from app.core.errors import Forbidden
from app.core.resources import Resources
from app.core.settings import IntakeSettings
from app.incidents import completing, errors
from app.incidents.models import IncidentMedia
from app.incidents.queries import named_in
from app.incidents.reporting import UNNAMED, Received
from app.media.errors import AttachmentsDiffer
from app.media.finishing import NotNow
from app.media.models import MediaFile, Upload
from app.media.rows import stored_row
from app.media.storing import StoredFile
from app.media.tus import Claims


@dataclass(frozen=True, slots=True)
class Promise:
    """What the manifest says of the file that is about to come."""

    kind: str | None = None
    sha256: bytes | None = None
    awaited: bool = False


async def promised(
    session: AsyncSession,
    caller: Caller,
    claims: Claims,
    length: int | None,
    limits: IntakeSettings,
) -> Promise:
    """Check before the first byte whether this caller may bring this file.

    Raises IncidentNotFound, AttachmentNotFound, ActionForbidden, ActionNotAllowed,
    IncidentFull, AttachmentImmutable, AttachmentsDiffer.
    """
    if claims.incident_id is None or claims.attachment_id is None:
        return Promise()
    place = await completing.find_place(
        session, caller, claims.incident_id, claims.attachment_id, limits
    )
    link = place.link
    if link is not None and link.state == "stored":
        raise errors.AttachmentImmutable
    await completing.check_amount(session, place.incident_id, limits, size=length or 0)
    if link is None:
        return Promise()
    if completing.differs(link, None, length, claims.sha256):
        raise AttachmentsDiffer(attachments=[str(link.attachment_id)])
    return Promise(link.kind, link.sha256, awaited=True)


class Bringing:
    """Settles one caller's uploads; `media.finishing.Settling`."""

    def __init__(self, resources: Resources, caller: Caller) -> None:
        self._clock = resources.clock
        self._limits = resources.settings.intake
        self._caller = caller

    async def take(self, session: AsyncSession, upload: Upload, stored: StoredFile) -> UUID | None:
        """Rights may have changed since the first byte: they are read anew (U19).

        Raises NotNow for an ended session, and what `promised` raises.
        """
        caller = await self._anew(session)
        received = Received(new_id(), stored, upload.filename)
        incident_id = upload.incident_id or await named_in(session, upload)
        if incident_id is None or upload.attachment_id is None:
            await _keep(session, caller, received, self._clock.now())
            return received.file_id
        limits, now = self._limits, self._clock.now()
        place = await completing.find_place(
            session, caller, incident_id, upload.attachment_id, limits
        )
        sha256 = bytes.fromhex(stored.sha256)
        if (
            place.link is not None
            and place.link.state != "stored"
            and completing.differs(place.link, stored.kind, stored.size, sha256)
        ):
            raise AttachmentsDiffer(attachments=[str(upload.attachment_id)])
        upload.incident_id = incident_id
        try:
            await completing.take_in(session, caller, place, received, now, limits)
        except completing.AttachmentThere:
            return None
        return received.file_id

    async def refuse(self, session: AsyncSession, upload: Upload) -> None:
        incident_id = upload.incident_id or await named_in(session, upload)
        await session.execute(
            update(IncidentMedia)
            .where(
                IncidentMedia.incident_id == incident_id,
                IncidentMedia.attachment_id == upload.attachment_id,
                IncidentMedia.state != "stored",
            )
            .values(state="rejected")
        )

    async def _anew(self, session: AsyncSession) -> Caller:
        try:
            caller = await load_caller(session, self._caller.session_id, self._clock.now())
        except SessionEnded as ended:
            raise NotNow(ended) from ended
        if not caller.may(Permission.MOVE_INCIDENTS):
            raise Forbidden(permission=Permission.MOVE_INCIDENTS)
        return caller


async def _keep(session: AsyncSession, caller: Caller, received: Received, at: datetime) -> None:
    """A file that belongs to its creator until a report names it."""
    row = stored_row(
        received.file_id,
        received.stored,
        caller,
        at,
        filename=received.filename or UNNAMED,
        kind=received.stored.kind,
    )
    await session.execute(insert(MediaFile).values(row))
