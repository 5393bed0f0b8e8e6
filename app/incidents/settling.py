"""Settling a report: written the first time, answered with the first receipt ever after."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.core.resources import Resources
from app.incidents import completing, errors
from app.incidents.adopting import adopt, has_begun
from app.incidents.models import Incident
from app.incidents.preparing import Prepared
from app.incidents.receiving import Receiving
from app.incidents.reporting import Report, report
from app.incidents.schemas import AttachmentReceipt, IncidentReceipt, ManifestFile
from app.incidents.secrecy import kept_fingerprint
from app.incidents.views import receipt


@dataclass(frozen=True, slots=True)
class Settled:
    receipt: IncidentReceipt
    replayed: bool


async def settle(
    resources: Resources,
    caller: Caller,
    prepared: Prepared,
    receiving: Receiving,
    client_time: datetime | None,
) -> Settled:
    """Store the report in one statement, or recognise a repeat.

    Raises IdempotencyKeyReused, IncidentDeleted, OutcomeUnknown. After the last the objects stay:
    the row may name them; the sweeper takes what no row names.
    """
    at = resources.clock.now()
    offset = round((client_time - at).total_seconds()) if client_time else None
    new = Report(
        new=prepared.new,
        placed=prepared.placed,
        root=prepared.root,
        sealed=prepared.sealed,
        reporter_id=prepared.reporter_id,
        received=receiving.received,
        at=at,
        client_offset_s=offset,
    )
    number = await report(resources, caller, new)
    if number is None:
        settled = await _replay(resources, caller, new, receiving)
    else:
        settled = Settled(_first_receipt(new, number), replayed=False)
    return await with_uploads(resources, caller, settled)


async def with_uploads(resources: Resources, caller: Caller, settled: Settled) -> Settled:
    """What came before, as uploads, takes its place; what is under way is shown so."""
    missing = [each.id for each in settled.receipt.attachments if each.state != "stored"]
    if not await has_begun(resources, caller.id, missing):
        return settled
    incident_id = settled.receipt.id
    await adopt(resources, incident_id)
    async with resources.sessions.read() as session:
        shown = await receipt(session, await session.get_one(Incident, incident_id))
    return replace(settled, receipt=shown)


async def _replay(
    resources: Resources, caller: Caller, again: Report, receiving: Receiving
) -> Settled:
    """The first receipt; bytes that were still expected take their places."""
    try:
        async with resources.sessions.begin() as session:
            incident = await completing.locked(session, again.new.id)
            content = kept_fingerprint(
                resources.keys, again.fingerprint, sealed=incident.own_key is not None
            )
            await _check_same(session, incident, caller, again, content)
            files = receiving.received
            used = await completing.take_places(session, caller, incident, files, again.at)
            shown = await receipt(session, incident)
    except errors.IncidentNotFound:
        await receiving.take_back()
        raise errors.IncidentDeleted from None
    except errors.IdempotencyKeyReused:
        await receiving.take_back()
        raise
    await receiving.take_back(keep=used)
    return Settled(shown, replayed=True)


async def _check_same(
    session: AsyncSession, incident: Incident, caller: Caller, again: Report, content: bytes
) -> None:
    """Raises IdempotencyKeyReused, which tells somebody else nothing of who has this id."""
    if caller.id not in (incident.reporter_id, incident.entered_by):
        raise errors.IdempotencyKeyReused
    same = incident.fingerprint == content
    if not same or await completing.contradicted(session, incident.id, again.received):
        raise errors.IdempotencyKeyReused(revision=incident.revision)


def _first_receipt(report: Report, number: str) -> IncidentReceipt:
    """What was just written, without asking the database for it again."""
    return IncidentReceipt(
        id=report.new.id,
        number=number,
        received_at=report.at,
        state=report.state,
        complete=all(file.id in report.received for file in report.new.attachments),
        attachments=[_file_receipt(report, file) for file in report.new.attachments],
        revision=1,
    )


def _file_receipt(report: Report, file: ManifestFile) -> AttachmentReceipt:
    came = report.received.get(file.id)
    return AttachmentReceipt(
        id=file.id,
        state="stored" if came else "expected",
        size=came.stored.size if came else file.size,
        sha256=came.stored.sha256 if came else file.sha256,
    )
