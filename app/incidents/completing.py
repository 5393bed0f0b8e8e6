"""Completing: files that come after their report take their places in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.core.events import record
from app.core.settings import IntakeSettings
from app.incidents import errors
from app.incidents.events import AttachmentStored
from app.incidents.models import Incident, IncidentMedia
from app.incidents.queries import current_steps, visible_incident
from app.incidents.reporting import UNNAMED, Received
from app.incidents.rights import is_reporter, look_around, standing
from app.incidents.status import OPEN, State, Who
from app.media.models import MediaFile
from app.media.rows import stored_row


class AttachmentThere(Exception):  # noqa: N818 - names the fact
    """These very bytes are stored already."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a late file belongs: listed in the report, or new evidence of somebody involved."""

    incident_id: UUID
    attachment_id: UUID
    link: IncidentMedia | None
    sealed: bool


async def find_place(
    session: AsyncSession,
    caller: Caller,
    incident_id: UUID,
    attachment_id: UUID,
    limits: IntakeSettings,
) -> Place:
    """Check before the first body byte whether this caller may bring this file.

    Raises IncidentNotFound, AttachmentNotFound, ActionForbidden, ActionNotAllowed, IncidentFull.
    """
    incident = await visible_incident(session, caller, incident_id)
    if incident is None:
        raise errors.IncidentNotFound
    link = await session.get(IncidentMedia, (incident_id, attachment_id))
    if link is not None:
        if caller.id != link.added_by and not is_reporter(caller, incident):
            raise errors.AttachmentNotFound
        return Place(incident_id, attachment_id, link, incident.sealed)
    await check_may_add(session, caller, incident)
    await check_amount(session, incident_id, limits, files=1)
    return Place(incident_id, attachment_id, None, incident.sealed)


def differs(link: IncidentMedia, kind: str | None, size: int | None, sha256: bytes | None) -> bool:
    """Whether a file is not what the manifest promises; None: it is not known, or was not said."""
    pairs = (link.kind, kind), (link.size, size), (link.sha256, sha256)
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)


async def take_places(
    session: AsyncSession,
    caller: Caller,
    incident: Incident,
    received: Mapping[UUID, Received],
    at: datetime,
) -> frozenset[UUID]:
    """Give stored files to attachments still expected. Returns the attachments that took one.

    The incident is locked by the caller. A file whose place is taken already is left to them.
    """
    links = await session.scalars(
        select(IncidentMedia).where(
            IncidentMedia.incident_id == incident.id,
            IncidentMedia.attachment_id.in_(received),
            IncidentMedia.state != "stored",
        )
    )
    taken = list(links)
    for link in taken:
        await _put_in(session, caller, link, received[link.attachment_id], at)
    await tell_stored(session, incident, taken, at)
    return frozenset(link.attachment_id for link in taken)


async def tell_stored(
    session: AsyncSession, incident: Incident, taken: Sequence[IncidentMedia], at: datetime
) -> None:
    """Record each place that has got its file; the last one says whether nothing is missing now."""
    await session.flush()
    waiting = await _still_expected(session, incident.id)
    for position, link in enumerate(taken, start=1):
        done = position == len(taken) and not waiting
        await record(session, _stored(incident, link.attachment_id, complete=done), at=at)


async def contradicted(
    session: AsyncSession, incident_id: UUID, received: Mapping[UUID, Received]
) -> frozenset[UUID]:
    """Attachments that are stored already, with other bytes than these."""
    rows = await session.execute(
        select(IncidentMedia.attachment_id, MediaFile.sha256)
        .join(MediaFile, MediaFile.id == IncidentMedia.media_id)
        .where(IncidentMedia.incident_id == incident_id, IncidentMedia.attachment_id.in_(received))
    )
    return frozenset(
        row.attachment_id
        for row in rows
        if row.sha256.hex() != received[row.attachment_id].stored.sha256
    )


async def take_in(
    session: AsyncSession,
    caller: Caller,
    place: Place,
    received: Received,
    at: datetime,
    limits: IntakeSettings,
) -> Incident:
    """Put one late file where it belongs; the incident as it is then, locked.

    Raises AttachmentImmutable where somebody was faster with other bytes, AttachmentThere where
    they were faster with the same: then this object is one too many. What `find_place` raises is
    raised again for what has changed since, now that nobody else changes it (U19).
    """
    incident = await locked(session, place.incident_id)
    link = await session.get(
        IncidentMedia, (place.incident_id, place.attachment_id), populate_existing=True
    )
    if link is None or link.state != "stored":
        size = received.stored.size
        await check_amount(session, incident.id, limits, files=int(link is None), size=size)
    if link is None:
        await check_may_add(session, caller, incident)
        await _add_evidence(session, caller, incident, place.attachment_id, received, at)
    elif link.state == "stored":
        files = {place.attachment_id: received}
        if await contradicted(session, incident.id, files):
            raise errors.AttachmentImmutable
        raise AttachmentThere
    else:
        await take_places(session, caller, incident, {place.attachment_id: received}, at)
    return incident


async def _add_evidence(
    session: AsyncSession,
    caller: Caller,
    incident: Incident,
    attachment_id: UUID,
    received: Received,
    at: datetime,
) -> None:
    """A file that no manifest announced: of a handler, a dispatcher or the reporter."""
    last = await session.scalar(
        select(func.max(IncidentMedia.position)).where(IncidentMedia.incident_id == incident.id)
    )
    link = IncidentMedia(
        incident_id=incident.id,
        attachment_id=attachment_id,
        position=0 if last is None else last + 1,
        kind=received.stored.kind,
        name=UNNAMED,
        size=None,
        sha256=None,
        captured_at=None,
        state="expected",
        media_id=None,
        added_by=caller.id,
    )
    session.add(link)
    await session.flush()
    await take_places(session, caller, incident, {attachment_id: received}, at)


async def locked(session: AsyncSession, incident_id: UUID) -> Incident:
    """The incident under its row lock. Its existence was checked before."""
    incident = await session.get(
        Incident, incident_id, with_for_update=True, populate_existing=True
    )
    if incident is None:
        raise errors.IncidentNotFound
    return incident


async def check_may_add(session: AsyncSession, caller: Caller, incident: Incident) -> None:
    """Raises ActionForbidden for somebody not involved, ActionNotAllowed where it is closed."""
    steps = await current_steps(session, [incident])
    around = await look_around(session, [incident], list(steps.values()))
    places = standing(caller, incident, steps.get(incident.id), around)
    if Who.ANYONE_INVOLVED not in places:
        raise errors.ActionForbidden(allowed_actions=[])
    if State(incident.state) not in OPEN:
        raise errors.ActionNotAllowed(state=incident.state, allowed_actions=[])


async def check_amount(
    session: AsyncSession,
    incident_id: UUID,
    limits: IntakeSettings,
    *,
    files: int = 0,
    size: int = 0,
) -> None:
    """Whether so many more fit into the matter, of so many bytes. Raises IncidentFull."""
    row = await session.execute(
        select(func.count().label("files"), func.sum(MediaFile.size).label("bytes"))
        .select_from(IncidentMedia)
        .outerjoin(MediaFile, MediaFile.id == IncidentMedia.media_id)
        .where(IncidentMedia.incident_id == incident_id)
    )
    found = row.one()
    total = int(found.bytes or 0) + size
    if (files and found.files + files > limits.matter_files) or total > limits.matter_bytes:
        raise errors.IncidentFull(files=limits.matter_files, bytes=limits.matter_bytes)


async def _put_in(
    session: AsyncSession, caller: Caller, link: IncidentMedia, received: Received, at: datetime
) -> None:
    if link.name == UNNAMED and received.filename:
        link.name = received.filename
    row = stored_row(
        received.file_id,
        received.stored,
        caller,
        at,
        filename=link.name,
        kind=link.kind,
        captured_at=link.captured_at,
    )
    await session.execute(insert(MediaFile).values(row))
    link.media_id = received.file_id
    link.state = "stored"


async def _still_expected(session: AsyncSession, incident_id: UUID) -> int:
    count = await session.scalar(
        select(func.count())
        .select_from(IncidentMedia)
        .where(IncidentMedia.incident_id == incident_id, IncidentMedia.state != "stored")
    )
    return count or 0


def _stored(incident: Incident, attachment_id: UUID, *, complete: bool) -> AttachmentStored:
    return AttachmentStored(
        incident_id=incident.id,
        number=incident.number,
        reporter_id=incident.reporter_id,
        sealed=incident.sealed,
        attachment_id=attachment_id,
        unit_id=incident.owner_unit_id,
        state=incident.state,
        complete=complete,
    )


async def stored_digest(session: AsyncSession, media_id: UUID | None) -> bytes | None:
    """SHA-256 of a stored file."""
    digest: bytes | None = await session.scalar(
        select(MediaFile.sha256).where(MediaFile.id == media_id)
    )
    return digest
