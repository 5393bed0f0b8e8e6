"""Ledgers: what phones themselves wrote down, against what the server holds (V1, V2, V4).

One JSON object a line: `{"kind": "receipt", "id", "number", "files": {id: sha256}}` for every
acknowledgement, `{"kind": "notice", "person", "terminal", "seq", "type", "incident_id"}` for every
notice seen, `{"kind": "delivery", "webhook_id", "type", "incident_id", "sequence"}` for every
message a platform verified (V5). The bytes in the store (V2) are read here too.
"""

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import orjson
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.object_store import ObjectMissing, ObjectStore
from app.incidents.models import Incident, IncidentMedia
from app.media.models import Derivative, MediaFile
from app.media.rereading import Found
from app.notifications.models import Notice
from app.system.invariants import Violation
from app.webhooks.models import Delivery

_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Seen:
    """One notice, as a terminal saw it."""

    seq: int
    type: str
    incident_id: UUID


@dataclass(slots=True)
class Ledger:
    """Numbers by incident id, digests in hex by attachment id, notices by person and terminal."""

    numbers: dict[UUID, set[str]] = field(default_factory=dict)
    digests: dict[UUID, str] = field(default_factory=dict)
    seen: dict[tuple[UUID, str], list[Seen]] = field(default_factory=dict)
    verified: dict[UUID, str] = field(default_factory=dict)
    """Types by webhook id."""

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
                self.numbers.setdefault(UUID(str(id_)), set()).add(str(number))
                self.digests |= {UUID(str(file)): str(digest) for file, digest in files.items()}
            case {
                "kind": "notice",
                "person": person,
                "terminal": terminal,
                "seq": int(seq),
                "type": type_,
                "incident_id": incident_id,
            }:
                seen = Seen(seq, str(type_), UUID(str(incident_id)))
                self.seen.setdefault((UUID(str(person)), str(terminal)), []).append(seen)
            case {"kind": "delivery", "webhook_id": webhook_id, "type": type_}:
                self.verified[UUID(str(webhook_id))] = str(type_)
            case _:
                raise ValueError(f"not a ledger's entry: {entry}")


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file that the database calls stored; `sha256` in hex."""

    file_id: UUID
    object_key: str
    sha256: str


async def acknowledged(session: AsyncSession, ledger: Ledger) -> list[Violation]:
    """V1: every acknowledged report is exactly one incident, under the one number it was told."""
    wrong: list[Violation] = []
    for ids in _batches(list(ledger.numbers)):
        rows = await session.execute(
            select(Incident.id, Incident.number).where(Incident.id.in_(ids))
        )
        held: dict[UUID, list[str]] = {id_: [] for id_ in ids}
        for row in rows:
            held[row.id].append(row.number)
        wrong += [
            Violation("V1", str(id_), f"told {sorted(ledger.numbers[id_])}, held as {numbers}")
            for id_, numbers in held.items()
            if len(numbers) != 1 or ledger.numbers[id_] != set(numbers)
        ]
    return wrong


async def files_promised(session: AsyncSession, ledger: Ledger) -> list[Violation]:
    """V2: every file that was acknowledged as stored is, with the digest the phone computed."""
    wrong: list[Violation] = []
    for ids in _batches(list(ledger.digests)):
        rows = await session.execute(
            select(IncidentMedia.attachment_id, MediaFile.sha256)
            .join(MediaFile, MediaFile.id == IncidentMedia.media_id)
            .where(IncidentMedia.attachment_id.in_(ids), MediaFile.state.in_(("stored", "erased")))
        )
        held = {row.attachment_id: row.sha256.hex() for row in rows}
        wrong += [
            Violation("V2", str(id_), f"acknowledged as stored, held as {held.get(id_, 'nothing')}")
            for id_ in ids
            if held.get(id_) != ledger.digests[id_]
        ]
    return wrong


async def seen_in_order(session: AsyncSession, ledger: Ledger) -> list[Violation]:
    """V4: what each terminal saw is 1…n in order, and those are the notices of that person."""
    wrong: list[Violation] = []
    for (person, terminal), seen in ledger.seen.items():
        numbers = [item.seq for item in seen]
        if numbers != list(range(1, len(numbers) + 1)):
            wrong.append(Violation("V4", terminal, f"saw {len(numbers)} notices, not 1…n in order"))
        rows = await session.execute(
            select(Notice.seq, Notice.type, Notice.incident_id).where(Notice.person_id == person)
        )
        other = set(seen) - {Seen(row.seq, row.type, row.incident_id) for row in rows}
        if other:
            first = min(item.seq for item in other)
            wrong.append(Violation("V4", terminal, f"{len(other)} are others now, first {first}"))
    return wrong


async def verified_by_platforms(session: AsyncSession, ledger: Ledger) -> list[Violation]:
    """V5: what a platform verified was sent to it, and what such an endpoint got, it verified."""
    wrong: list[Violation] = []
    held: dict[UUID, Delivery] = {}
    for ids in _batches(list(ledger.verified)):
        rows = await session.scalars(select(Delivery).where(Delivery.id.in_(ids)))
        held |= {row.id: row for row in rows}
    wrong += [
        Violation("V5", str(id_), "a platform verified what was never sent")
        for id_, type_ in ledger.verified.items()
        if id_ not in held or held[id_].type != type_
    ]
    points = {row.endpoint_id for row in held.values()}
    sent = await session.scalars(
        select(Delivery.id).where(Delivery.endpoint_id.in_(points), Delivery.state == "delivered")
    )
    wrong += [
        Violation("V5", str(id_), "delivered, but the platform has not got it")
        for id_ in sent
        if id_ not in ledger.verified
    ]
    return wrong


async def kept_files(session: AsyncSession, most: int | None = None) -> list[KeptFile]:
    """The files to be read back: all of them, or so many drawn at random."""
    query = select(MediaFile.id, MediaFile.object_key, MediaFile.sha256).where(
        MediaFile.state == "stored"
    )
    if most is not None:
        query = query.order_by(func.random()).limit(most)
    rows = await session.execute(query)
    return [KeptFile(row.id, row.object_key, row.sha256.hex()) for row in rows]


async def files_whole(store: ObjectStore, files: Iterable[KeptFile]) -> AsyncIterator[Violation]:
    """V2: the bytes in the store hash to what the database says. Raises StoreUnavailable."""
    async for file, found in reread(store, files):
        if found != "whole":
            yield damage(file, found)


async def reread(
    store: ObjectStore, files: Iterable[KeptFile]
) -> AsyncIterator[tuple[KeptFile, Found]]:
    """Each file with what its stored bytes were found to be. Raises StoreUnavailable."""
    for file in files:
        digest = await _digest(store, file.object_key)
        yield file, "gone" if digest is None else "whole" if digest == file.sha256 else "other"


def damage(file: KeptFile, found: Found) -> Violation:
    what = "the object is gone" if found == "gone" else "the stored bytes are others"
    return Violation("V2", str(file.file_id), what)


async def strays(session: AsyncSession, store: ObjectStore) -> list[str]:
    """Keys of objects that no row names: harmless, and swept when they are old enough."""
    files, pictures = select(MediaFile.object_key), select(Derivative.object_key)
    named = {*await session.scalars(files), *await session.scalars(pictures)}
    return [item.key async for item in store.list("media/") if item.key not in named]


def _batches(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(ids), _BATCH):
        yield ids[start : start + _BATCH]


async def _digest(store: ObjectStore, key: str) -> str | None:
    digest = hashlib.sha256()
    try:
        async for chunk in store.read(key):
            digest.update(chunk)
    except ObjectMissing:
        return None
    return digest.hexdigest()
