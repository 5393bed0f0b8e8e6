"""Opening uploads, once for each attachment, and ending them: by their owner or by their time."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import and_, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.resources import Resources
from app.media.finishing import discard
from app.media.holding import RETRY_AFTER_S, held
from app.media.models import MediaFile, Upload
from app.media.tus import Claims
from app.media.upload_errors import (
    TooManyUploads,
    UploadAttached,
    UploadDiffers,
    UploadExpired,
    UploadLost,
)
from app.media.writing import fresh_key

_FORGET_AFTER = timedelta(days=7)
"""How long an expired upload is still called expired (410), not unknown (404)."""
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(:device, 15))")
_OPEN = ("receiving", "verifying")
_UNNAMED = and_(Upload.state == "stored", Upload.incident_id.is_(None))
"""Whole, and waiting for a report to name it."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class NewUpload:
    """`device`: the terminal, or the person without one. `kind` is what the manifest says."""

    owner_id: UUID
    device: str
    length: int | None
    claims: Claims
    kind: str | None = None
    sha256: bytes | None = None
    session_id: UUID | None = None
    awaited: bool = False
    """A report waits for the file."""


async def open_upload(resources: Resources, new: NewUpload) -> Upload:
    """The upload of this attachment, as it stands; a lost answer leaves no second one.

    Raises UploadDiffers, TooManyUploads.
    """
    now = resources.clock.now()
    async with resources.sessions.begin() as session:
        known = await _known(session, new)
        refusal = _outlived(known, new, now) if known else None
        if known is not None and refusal is not None:
            known.state, known.refusal = "rejected", refusal
            await session.flush()
            known = None
        if known is None:
            await _check_room(session, new, now, resources.settings.uploads.open_per_device)
            known = await _insert(session, resources, new) or await _known(session, new)
        if known is None or not _same(known, new):
            raise UploadDiffers
        await _name(session, known, new)
    return known


async def _name(session: AsyncSession, known: Upload, new: NewUpload) -> None:
    """Its report has come meanwhile. One that has just become whole is adopted instead."""
    if known.incident_id is not None or new.claims.incident_id is None:
        return
    await session.execute(
        update(Upload)
        .where(Upload.id == known.id, Upload.incident_id.is_(None), Upload.state.in_(_OPEN))
        .values(
            incident_id=new.claims.incident_id,
            kind=new.kind or known.kind,
            sha256=new.sha256 or known.sha256,
        )
    )


def _outlived(known: Upload, new: NewUpload, now: datetime) -> str | None:
    """Why it counts no more: nobody went on with it, or the store has lost what it brought."""
    if known.expires_at <= now and (known.state in _OPEN or known.incident_id is None):
        return UploadExpired.code
    lost = known.state == "stored" and known.incident_id is not None and new.awaited
    return UploadLost.code if lost else None


def _same(known: Upload, new: NewUpload) -> bool:
    places = known.incident_id, new.claims.incident_id
    return known.length == new.length and (None in places or places[0] == places[1])


async def _known(session: AsyncSession, new: NewUpload) -> Upload | None:
    if new.claims.attachment_id is None:
        return None
    found: Upload | None = await session.scalar(
        select(Upload).where(
            Upload.owner_id == new.owner_id,
            Upload.attachment_id == new.claims.attachment_id,
            Upload.state != "rejected",
        )
    )
    return found


async def _check_room(session: AsyncSession, new: NewUpload, now: datetime, most: int) -> None:
    """Of this device only so many are open at a time (U18). Raises TooManyUploads."""
    await session.execute(_ONE_AT_A_TIME, {"device": new.device})
    count = await session.scalar(
        select(func.count())
        .select_from(Upload)
        .where(
            Upload.device == new.device,
            Upload.expires_at > now,
            or_(Upload.state.in_(_OPEN), _UNNAMED),
        )
    )
    if (count or 0) >= most:
        raise TooManyUploads(limit=most, headers={"Retry-After": RETRY_AFTER_S})


async def _insert(session: AsyncSession, resources: Resources, new: NewUpload) -> Upload | None:
    now = resources.clock.now()
    row = {
        "id": secrets.token_urlsafe(24),
        "owner_id": new.owner_id,
        "device": new.device,
        "session_id": new.session_id,
        "incident_id": new.claims.incident_id,
        "attachment_id": new.claims.attachment_id,
        "metadata": new.claims.raw,
        "filename": new.claims.filename,
        "sha256": new.sha256 or new.claims.sha256,
        "kind": new.kind,
        "length": new.length,
        "object_key": fresh_key(resources),
        "created_at": now,
        "expires_at": now + timedelta(seconds=resources.settings.uploads.expires_s),
    }
    made: Upload | None = await session.scalar(
        insert(Upload).values(row).on_conflict_do_nothing().returning(Upload)
    )
    return made


async def end_upload(resources: Resources, upload_id: str) -> None:
    """Its owner wants it no more. Raises UploadAttached."""
    async with held(resources, upload_id) as hold:
        async with resources.sessions.begin() as session:
            # a report may have taken the file since
            gone = await session.scalar(
                delete(Upload)
                .where(Upload.id == upload_id, or_(Upload.state != "stored", _UNNAMED))
                .returning(Upload.id)
            )
            if gone is None:
                raise UploadAttached
            await session.execute(delete(MediaFile).where(MediaFile.id == hold.upload.media_id))
        await discard(resources, hold.upload)


async def expire(resources: Resources) -> int:
    """Take the bytes of uploads that nobody went on with; how many there were (U14)."""
    now = resources.clock.now()
    async with resources.sessions.begin() as session:
        ended = list(
            await session.scalars(
                update(Upload)
                .where(or_(Upload.state.in_(_OPEN), _UNNAMED), Upload.expires_at <= now)
                .values(
                    state="rejected",
                    refusal="upload-expired",
                    fence=Upload.fence + 1,
                    held=False,
                )
                .returning(Upload)
            )
        )
        files = [upload.media_id for upload in ended]
        await session.execute(delete(MediaFile).where(MediaFile.id.in_(files)))
        await session.execute(delete(Upload).where(Upload.expires_at <= now - _FORGET_AFTER))
    for upload in ended:
        await discard(resources, upload)
    return len(ended)
