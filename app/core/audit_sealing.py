"""Sealing: once a minute every new entry of the audit trail gets its place in the chain.

What is not sealed yet is found by its state, never by a cursor over ids: they commit out of order.
Whoever writes an entry waits for nobody.
"""

import asyncio
from collections.abc import Sequence

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.audit import AuditEntry
from app.core.audit_chain import GENESIS, note_hash
from app.core.db import Sessions
from app.core.turns import in_turns

LOCK_KEY = 0x7365616C  # "seal": two processes take turns
EVERY_S = 60.0
BATCH = 1_000


class Sealing:
    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; a lost database is waited for."""

        async def turn() -> bool:
            return await self.work() == BATCH

        await in_turns(turn, stop, EVERY_S, "sealing_interrupted")

    async def work(self) -> int:
        """Seal what waits, at most a batch. Returns the entries; 0 where another process does."""
        async with self._sessions.begin() as session:
            if not await session.scalar(select(func.pg_try_advisory_xact_lock(LOCK_KEY))):
                return 0
            return await _seal(session)


async def newest_seal(session: AsyncSession) -> tuple[int, bytes]:
    """The chain's head: place and hash of the entry that was sealed last."""
    row = await session.execute(
        select(AuditEntry.chain_seq, AuditEntry.hash)
        .where(AuditEntry.chain_seq.is_not(None))
        .order_by(AuditEntry.chain_seq.desc())
        .limit(1)
    )
    head = row.one_or_none()
    return (0, GENESIS) if head is None else (head.chain_seq, head.hash)


async def _seal(session: AsyncSession) -> int:
    waiting = await _waiting(session)
    seq, previous = await newest_seal(session)
    hashes: list[bytes] = []
    for place, entry in enumerate(waiting, seq + 1):
        previous = note_hash(entry, place, previous)
        hashes.append(previous)
    places = list(range(seq + 1, seq + 1 + len(waiting)))
    ids = [entry.id for entry in waiting]
    await session.execute(_SEAL, {"ids": ids, "places": places, "hashes": hashes})
    return len(waiting)


async def _waiting(session: AsyncSession) -> Sequence[AuditEntry]:
    rows = await session.scalars(
        select(AuditEntry)
        .where(AuditEntry.chain_seq.is_(None))
        .order_by(AuditEntry.id)
        .limit(BATCH)
    )
    return rows.all()


_SEAL = text("""
    UPDATE audit_entries SET chain_seq = new.place, hash = new.hash
    FROM unnest(CAST(:ids AS bigint[]), CAST(:places AS bigint[]), CAST(:hashes AS bytea[]))
      AS new (id, place, hash)
    WHERE audit_entries.id = new.id""")
