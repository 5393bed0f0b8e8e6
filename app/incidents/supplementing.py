"""Supplementing: more words and more files of somebody involved, once per client-made id."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.core.events import record
from app.core.resources import KEYS, Resources
from app.incidents import completing, errors
from app.incidents.events import IncidentCommented
from app.incidents.fingerprints import fingerprint
from app.incidents.history import Entry, append
from app.incidents.models import Incident, IncidentMedia, Supplement
from app.incidents.queries import visible_incident
from app.incidents.receiving import Receiving
from app.incidents.reporting import Received, name_of
from app.incidents.schemas import ManifestFile, NewSupplement
from app.incidents.secrecy import kept_fingerprint
from app.incidents.settling import Settled, with_uploads
from app.incidents.status import Happening
from app.incidents.views import receipt


@dataclass(frozen=True, slots=True)
class Prepared:
    """A supplement before its files are taken in."""

    new: NewSupplement
    sealed: bool

    @property
    def files(self) -> list[ManifestFile]:
        return self.new.files


async def check_may_supplement(session: AsyncSession, caller: Caller, incident_id: UUID) -> bool:
    """Before the body; whether the matter is sealed.

    Raises IncidentNotFound, ActionForbidden, ActionNotAllowed.
    """
    incident = await visible_incident(session, caller, incident_id)
    if incident is None:
        raise errors.IncidentNotFound
    await completing.check_may_add(session, caller, incident)
    return incident.sealed


async def supplement(
    resources: Resources,
    caller: Caller,
    incident_id: UUID,
    new: NewSupplement,
    receiving: Receiving,
) -> Settled:
    """Add it, or recognise a repeat; what was stored in vain is taken back.

    Raises IdempotencyKeyReused, AttachmentRepeated, IncidentFull, OutcomeUnknown.
    """
    at = resources.clock.now()
    limits = resources.settings.intake
    try:
        async with resources.sessions.begin() as session:
            incident = await completing.locked(session, incident_id)
            is_new = await _claim(session, caller, incident, new, at)
            if is_new:
                brought = sum(file.stored.size for file in receiving.received.values())
                await completing.check_amount(
                    session, incident_id, limits, files=len(new.files), size=brought
                )
                await _add(session, caller, incident, new, receiving.received, at)
            elif await completing.contradicted(session, incident.id, receiving.received):
                raise errors.IdempotencyKeyReused  # noqa: TRY301 - undone together with the rest
            used = await completing.take_places(session, caller, incident, receiving.received, at)
            shown = await receipt(session, incident)
    except (errors.IdempotencyKeyReused, errors.AttachmentRepeated, errors.IncidentFull):
        await receiving.take_back()
        raise
    await receiving.take_back(keep=used)
    return await with_uploads(resources, caller, Settled(shown, replayed=not is_new))


async def _claim(
    session: AsyncSession,
    caller: Caller,
    incident: Incident,
    new: NewSupplement,
    at: datetime,
) -> bool:
    """True for the first with this id, False for its repeat. Raises IdempotencyKeyReused."""
    content = kept_fingerprint(
        session.info[KEYS], fingerprint(new), sealed=incident.own_key is not None
    )
    claimed = await session.scalar(
        insert_once(Supplement)
        .values(
            id=new.id,
            incident_id=incident.id,
            fingerprint=content,
            added_by=caller.id,
            received_at=at,
        )
        .on_conflict_do_nothing()
        .returning(Supplement.id)
    )
    if claimed is not None:
        return True
    first = await session.get_one(Supplement, new.id, populate_existing=True)
    same_place = first.incident_id == incident.id and first.added_by == caller.id
    if not same_place or first.fingerprint != content:
        raise errors.IdempotencyKeyReused
    return False


async def _add(
    session: AsyncSession,
    caller: Caller,
    incident: Incident,
    new: NewSupplement,
    received: Mapping[UUID, Received],
    at: datetime,
) -> None:
    await _add_links(session, caller, incident, new, received)
    entry = append(
        session,
        incident,
        Entry(
            action=Happening.SUPPLEMENT,
            from_state=incident.state,
            to_state=incident.state,
            step_id=incident.current_step_id,
            actor=caller,
            text=new.text,
            facts={
                "supplement": str(new.id),
                "attachments": [str(file.id) for file in new.attachments],
            },
        ),
        at,
    )
    await session.flush()
    if new.text is None:
        return
    commented = IncidentCommented(
        incident_id=incident.id,
        number=incident.number,
        reporter_id=incident.reporter_id,
        sealed=incident.sealed,
        actor_id=caller.id,
        unit_id=incident.owner_unit_id,
        state=incident.state,
        history_seq=entry.seq,
    )
    await record(session, commented, at=at)


async def _add_links(
    session: AsyncSession,
    caller: Caller,
    incident: Incident,
    new: NewSupplement,
    received: Mapping[UUID, Received],
) -> None:
    """The new attachments, all expected. Raises AttachmentRepeated."""
    if not new.attachments:
        return
    await _refuse_known(session, incident.id, [file.id for file in new.attachments])
    last = await session.scalar(
        select(func.max(IncidentMedia.position)).where(IncidentMedia.incident_id == incident.id)
    )
    start = 0 if last is None else last + 1
    rows = [
        {
            "incident_id": incident.id,
            "attachment_id": file.id,
            "position": start + place,
            "kind": file.kind,
            "name": name_of(file, received.get(file.id)),
            "size": file.size,
            "sha256": bytes.fromhex(file.sha256) if file.sha256 else None,
            "captured_at": file.captured_at,
            "state": "expected",
            "added_by": caller.id,
        }
        for place, file in enumerate(new.attachments)
    ]
    await session.execute(insert(IncidentMedia), rows)


async def _refuse_known(
    session: AsyncSession, incident_id: UUID, attachment_ids: Collection[UUID]
) -> None:
    known = await session.scalar(
        select(IncidentMedia.attachment_id)
        .where(
            IncidentMedia.incident_id == incident_id,
            IncidentMedia.attachment_id.in_(attachment_ids),
        )
        .limit(1)
    )
    if known is not None:
        raise errors.AttachmentRepeated(attachment=str(known))
