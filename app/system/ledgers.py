"""Ledgers: what phones themselves wrote down, against what the server holds (V1, V2, V4).

One JSON object a line: `{"kind": "receipt", "id", "number", "files": {id: sha256}}` for every
acknowledged report, `{"kind": "notice", "person", "seq"}` for every notice seen.
"""

import hashlib
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass, field
from uuid import UUID

import orjson
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.object_store import ObjectMissing, ObjectStore
from app.incidents.models import Incident, IncidentMedia
from app.media.models import MediaFile
from app.notifications.models import Notice
from app.system.invariants import Violation


@dataclass(slots=True)
class Ledger:
    """Numbers by incident id, digests by attachment id, sequence numbers by person."""

    numbers: dict[UUID, str] = field(default_factory=dict)
    digests: dict[UUID, str] = field(default_factory=dict)
    seen: dict[UUID, list[int]] = field(default_factory=dict)

    @classmethod
    def read(cls, lines: Iterable[str | bytes]) -> "Ledger":
        """Raises ValueError for a line that is not a ledger's."""
        ledger = cls()
        for line in lines:
            ledger._add(orjson.loads(line))
        return ledger

    def _add(self, entry: dict[str, object]) -> None:
        match entry:
            case {"kind": "receipt", "id": id_, "number": number, "files": dict(files)}:
                self.numbers[UUID(str(id_))] = str(number)
                self.digests |= {UUID(str(file)): str(digest) for file, digest in files.items()}
            case {"kind": "notice", "person": person, "seq": int(seq)}:
                self.seen.setdefault(UUID(str(person)), []).append(seq)
            case _:
                raise ValueError(f"not a ledger's entry: {entry}")


async def acknowledged(session: AsyncSession, ledger: Ledger) -> list[Violation]:
    """V1: every acknowledged report is exactly one incident, under the number that was told."""
    rows = await session.execute(
        select(Incident.id, Incident.number).where(Incident.id.in_(ledger.numbers))
    )
    held = {row.id: row.number for row in rows}
    return [
        Violation("V1", str(id_), f"told {number}, held as {held.get(id_, 'nothing')}")
        for id_, number in ledger.numbers.items()
        if held.get(id_) != number
    ]


async def seen_in_order(session: AsyncSession, ledger: Ledger) -> list[Violation]:
    """V4: what each person saw is exactly 1…n of what their inbox holds."""
    wrong: list[Violation] = []
    for person, seen in ledger.seen.items():
        head = await session.scalar(select(func.max(Notice.seq)).where(Notice.person_id == person))
        if sorted(seen) != list(range(1, (head or 0) + 1)):
            wrong.append(Violation("V4", str(person), f"saw {len(seen)} of {head or 0} notices"))
    return wrong


async def files_whole(
    session: AsyncSession, store: ObjectStore, ledger: Ledger | None = None
) -> AsyncIterator[Violation]:
    """V2: the bytes in the store hash to what the database, and the phone's ledger, say.

    Reads every stored object once. Raises StoreUnavailable.
    """
    rows = await session.execute(
        select(MediaFile.object_key, MediaFile.sha256, IncidentMedia.attachment_id)
        .join(IncidentMedia, IncidentMedia.media_id == MediaFile.id)
        .where(MediaFile.state == "stored")
    )
    told = ledger.digests if ledger else {}
    found: set[UUID] = set()
    for key, kept, attachment_id in rows.all():
        found.add(attachment_id)
        digest = (kept or b"").hex()
        wanted = {told.get(attachment_id, digest), digest}
        if wanted != {await _digest(store, key or "")}:
            yield Violation("V2", str(attachment_id), "the stored bytes are not those sent")
    for missing in told.keys() - found:
        yield Violation("V2", str(missing), "acknowledged as stored, but not there")


async def strays(session: AsyncSession, store: ObjectStore) -> list[str]:
    """Keys of objects that no row names: harmless, and swept when they are old enough."""
    named: Collection[str | None] = set(await session.scalars(select(MediaFile.object_key)))
    return [item.key async for item in store.list("media/") if item.key not in named]


async def _digest(store: ObjectStore, key: str) -> str | None:
    digest = hashlib.sha256()
    try:
        async for chunk in store.read(key):
            digest.update(chunk)
    except ObjectMissing:
        return None
    return digest.hexdigest()
