"""Questions about anchors."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.evidence.merkle import BLOCK
from app.evidence.models import Anchor, AnchoredLeaf
from app.incidents.models import HistoryEntry, Incident


async def newest_anchor(session: AsyncSession) -> Anchor | None:
    found: Anchor | None = await session.scalar(select(Anchor).order_by(Anchor.seq.desc()).limit(1))
    return found


async def block_of(session: AsyncSession, anchor_seq: int, number: int) -> Sequence[AnchoredLeaf]:
    """The leaves under one of an anchor's blocks, in order."""
    start = number * BLOCK
    rows = await session.execute(
        select(*AnchoredLeaf.__table__.columns)
        .where(
            AnchoredLeaf.anchor_seq == anchor_seq,
            AnchoredLeaf.place >= start,
            AnchoredLeaf.place < start + BLOCK,
        )
        .order_by(AnchoredLeaf.place)
    )
    return rows.all()  # type: ignore[return-value]


async def leaves_of(session: AsyncSession, incident_id: UUID) -> Sequence[AnchoredLeaf]:
    """Every anchored head and file of one incident, oldest first."""
    rows = await session.scalars(
        select(AnchoredLeaf)
        .where(AnchoredLeaf.incident_id == incident_id)
        .order_by(AnchoredLeaf.anchor_seq, AnchoredLeaf.place)
    )
    return rows.all()


async def whole_history(session: AsyncSession, incident_id: UUID) -> Sequence[HistoryEntry]:
    rows = await session.scalars(
        select(HistoryEntry)
        .where(HistoryEntry.incident_id == incident_id)
        .order_by(HistoryEntry.seq)
    )
    return rows.all()


async def incident_by_number(session: AsyncSession, number: str) -> Incident | None:
    """Without scope: for the operator of the machine."""
    found: Incident | None = await session.scalar(select(Incident).where(Incident.number == number))
    return found
