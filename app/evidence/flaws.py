"""What does not hold in the evidence (V8): subject and fact, at most `MOST` of a kind."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

import orjson
from sqlalchemy import TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.audit import AuditEntry
from app.core.audit_chain import GENESIS as AUDIT_GENESIS
from app.core.audit_chain import first_break
from app.core.object_store import ObjectMissing, ObjectStore
from app.evidence.merkle import BLOCK, leaf_hash, root
from app.evidence.models import Anchor
from app.evidence.queries import block_of
from app.evidence.writing import GENESIS, anchor_digest, leaf_text, object_key

Flaw = tuple[str, str]
MOST = 50
SEALED_WITHIN = timedelta(minutes=10)
_BATCH = 1_000


async def flaws(session: AsyncSession, now: datetime) -> list[Flaw]:
    """Everything the database alone can answer."""
    return [
        *await audit_flaws(session, now),
        *await anchor_flaws(session),
        *await _asked(session, _HEAD_DIFFERS, "an anchored head is not that entry's hash any more"),
        *await _asked(session, _FILE_DIFFERS, "an anchored file has another digest now"),
    ]


async def audit_flaws(session: AsyncSession, now: datetime) -> list[Flaw]:
    """The audit trail's chain is whole, and what is written is soon part of it."""
    found: list[Flaw] = []
    place, previous = 0, AUDIT_GENESIS
    async for batch in _sealed(session):
        broken = first_break(batch, place, previous)
        if broken is not None:
            found.append(("audit", f"the audit trail's chain breaks at entry {broken}"))
            break
        place, previous = batch[-1].chain_seq or 0, batch[-1].hash or b""
    late = await session.scalars(
        select(AuditEntry.id)
        .where(AuditEntry.chain_seq.is_(None), AuditEntry.at < now - SEALED_WITHIN)
        .limit(MOST)
    )
    return found + [(str(id_), "an entry of the audit trail waits for its seal") for id_ in late]


async def anchor_flaws(session: AsyncSession) -> list[Flaw]:
    """The anchors are chained, and each is what its leaves and the audit trail say."""
    found: list[Flaw] = []
    previous, expected, audited = GENESIS, 1, 0
    for each in (await session.scalars(select(Anchor).order_by(Anchor.seq))).all():
        chained = each.seq == expected and each.previous == previous and each.audit_seq >= audited
        if not chained or each.digest != anchor_digest(each):
            found.append((str(each.night), "the anchors' chain breaks"))
        elif await _blocks(session, each) != each.blocks or _root(each) != each.root:
            found.append((str(each.night), "an anchor's leaves are others"))
        elif await _audit_head(session, each.audit_seq) != each.audit_head:
            found.append((str(each.night), "the audit trail is not the one that was anchored"))
        previous, expected, audited = each.digest, each.seq + 1, each.audit_seq
    return found[:MOST]


async def copy_flaws(store: ObjectStore, anchors: Sequence[Anchor]) -> AsyncIterator[Flaw]:
    """The copies outside the database say the same. Raises StoreUnavailable."""
    for each in anchors:
        try:
            body = b"".join([chunk async for chunk in store.read(object_key(each.night))])
        except ObjectMissing:
            yield str(each.night), "the anchor's copy in the object store is gone"
            continue
        if not _is_copy(body, each.digest):
            yield str(each.night), "the anchor is not the one in the object store"


async def kept_anchors(session: AsyncSession, most: int | None) -> Sequence[Anchor]:
    """The newest so many that have a copy, or all."""
    rows = await session.scalars(
        select(Anchor).where(Anchor.kept_at.is_not(None)).order_by(Anchor.seq.desc()).limit(most)
    )
    return rows.all()


def _is_copy(body: bytes, digest: bytes) -> bool:
    try:
        copy = orjson.loads(body)
        told, hashed = copy["digest"], copy["hashed"]
    except (ValueError, KeyError, TypeError):
        return False
    return bool(told == digest.hex() == hashlib.sha256(hashed.encode()).hexdigest())


def _root(anchor: Anchor) -> bytes:
    blocks = anchor.blocks
    return root([blocks[at : at + len(GENESIS)] for at in range(0, len(blocks), len(GENESIS))])


async def _blocks(session: AsyncSession, anchor: Anchor) -> bytes:
    found = []
    for number in range(-(-anchor.leaves // BLOCK)):
        leaves = await block_of(session, anchor.seq, number)
        found.append(root([leaf_hash(leaf_text(leaf).encode()) for leaf in leaves]))
    return b"".join(found)


async def _audit_head(session: AsyncSession, chain_seq: int) -> bytes | None:
    if chain_seq == 0:
        return AUDIT_GENESIS
    found: bytes | None = await session.scalar(
        select(AuditEntry.hash).where(AuditEntry.chain_seq == chain_seq)
    )
    return found


async def _sealed(session: AsyncSession) -> AsyncIterator[Sequence[AuditEntry]]:
    last = 0
    while True:
        rows = await session.scalars(
            select(AuditEntry)
            .where(AuditEntry.chain_seq > last)
            .order_by(AuditEntry.chain_seq)
            .limit(_BATCH)
        )
        batch = rows.all()
        if not batch:
            return
        yield batch
        last = batch[-1].chain_seq or 0
        session.expunge_all()


async def _asked(session: AsyncSession, question: TextClause, what: str) -> list[Flaw]:
    rows = await session.execute(question)
    return [(str(row[0]), what) for row in rows.fetchmany(MOST)]


_HEAD_DIFFERS = text("""
    SELECT a.incident_id FROM anchored_leaves a
    LEFT JOIN history_entries h ON h.incident_id = a.incident_id AND h.seq = a.seq
    WHERE a.seq IS NOT NULL AND h.hash IS DISTINCT FROM a.digest
      AND NOT EXISTS (SELECT FROM deleted_incidents d WHERE d.id = a.incident_id)""")
_FILE_DIFFERS = text("""
    SELECT a.attachment_id FROM anchored_leaves a
    JOIN incident_media m USING (incident_id, attachment_id)
    JOIN media_files f ON f.id = m.media_id
    WHERE f.state = 'stored' AND f.sha256 <> a.digest""")
