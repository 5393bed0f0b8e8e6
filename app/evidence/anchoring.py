"""Anchoring: once a night what changed in all histories is bound into one digest.

A head or file that was anchored once is not anchored again; the anchors are chained, so the newest
covers all. The night's work grows with the day's changes, not with all that was ever reported.
"""

import asyncio
from datetime import datetime

import structlog
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.audit_sealing import newest_seal
from app.core.resources import Resources
from app.evidence.merkle import BLOCK, leaf_hash, root
from app.evidence.models import Anchor, AnchoredLeaf
from app.evidence.queries import block_of, newest_anchor
from app.evidence.writing import GENESIS, anchor_digest, leaf_text, object_body, object_key

LOCK_KEY = 0x616E6368  # "anch": two processes take turns
FROM_HOUR = 2
"""By local time. A process that slept through the night does it when it wakes."""

log = structlog.get_logger()


async def anchor(resources: Resources) -> None:
    """A piece of the upkeep: this night's anchor, unless it is there; then copies to the store.

    Raises StoreUnavailable; the copy is then made the next hour.
    """
    now = resources.clock.now().astimezone(resources.settings.zone)
    if now.hour >= FROM_HOUR:
        await _anchor_night(resources, now)
    await _keep_copies(resources)


async def _anchor_night(resources: Resources, now: datetime) -> None:
    async with resources.sessions.begin() as session:
        if not await session.scalar(select(func.pg_try_advisory_xact_lock(LOCK_KEY))):
            return
        newest = await newest_anchor(session)
        if newest is not None and newest.night >= now.date():
            return
        made = await _made(session, newest, now)
        session.add(made)
    log.info("anchored", night=str(made.night), leaves=made.leaves, digest=made.digest.hex())


async def _made(session: AsyncSession, newest: Anchor | None, now: datetime) -> Anchor:
    seq = newest.seq + 1 if newest else 1
    leaves = await _take_leaves(session, seq)
    blocks = [await _block_root(session, seq, number) for number in range(-(-leaves // BLOCK))]
    audit_seq, audit_head = await newest_seal(session)
    made = Anchor(
        seq=seq,
        night=now.date(),
        at=now,
        leaves=leaves,
        root=root(blocks),
        blocks=b"".join(blocks),
        audit_seq=audit_seq,
        audit_head=audit_head,
        previous=newest.digest if newest else GENESIS,
    )
    made.digest = anchor_digest(made)
    return made


async def _take_leaves(session: AsyncSession, seq: int) -> int:
    """One statement over everything: what stands in no anchor yet, in order. Their number."""
    await session.execute(_LEAVES, {"anchor": seq})
    count = await session.scalar(
        select(func.count()).select_from(AnchoredLeaf).where(AnchoredLeaf.anchor_seq == seq)
    )
    return count or 0


async def _block_root(session: AsyncSession, seq: int, number: int) -> bytes:
    leaves = await block_of(session, seq, number)
    # others are served meanwhile: a night's first anchor hashes every matter there is
    await asyncio.sleep(0)
    return root([leaf_hash(leaf_text(leaf).encode()) for leaf in leaves])


async def _keep_copies(resources: Resources) -> None:
    """Write anchors that have no copy yet; safe to repeat, and by two processes at once."""
    async with resources.sessions.read() as session:
        rows = await session.scalars(
            select(Anchor).where(Anchor.kept_at.is_(None)).order_by(Anchor.seq)
        )
        waiting = rows.all()
    for each in waiting:
        body = object_body(each, each.digest)
        await resources.store.put(object_key(each.night), body, "application/json")
        async with resources.sessions.begin() as session:
            await session.execute(
                update(Anchor)
                # another process may have been faster; once told, it stands
                .where(Anchor.seq == each.seq, Anchor.kept_at.is_(None))
                .values(kept_at=resources.clock.now())
            )


_LEAVES = text("""
    INSERT INTO anchored_leaves (anchor_seq, place, incident_id, seq, attachment_id, digest)
    SELECT :anchor, row_number() OVER (ORDER BY incident_id, seq, attachment_id) - 1,
      incident_id, seq, attachment_id, digest
    FROM (
      SELECT i.id AS incident_id, i.history_seq AS seq, CAST(NULL AS uuid) AS attachment_id,
        i.history_head AS digest
      FROM incidents i
      WHERE NOT EXISTS (
        SELECT FROM anchored_leaves a WHERE a.incident_id = i.id AND a.seq = i.history_seq)
      UNION ALL
      SELECT m.incident_id, CAST(NULL AS bigint), m.attachment_id, f.sha256
      FROM incident_media m JOIN media_files f ON f.id = m.media_id
      WHERE f.state = 'stored' AND NOT EXISTS (
        SELECT FROM anchored_leaves a
        WHERE a.incident_id = m.incident_id AND a.attachment_id = m.attachment_id)) changed""")
