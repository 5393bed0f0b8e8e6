"""The audit trail: who did what to which object, appended in the same transaction.

Entries are chained afterwards (`audit_sealing`): a chain kept by those who write would make
everybody wait for everybody's commit.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Identity, Index, UniqueConstraint, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Json, Model


class AuditEntry(Model):
    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    at: Mapped[datetime]
    actor_id: Mapped[UUID | None]
    """None: the system itself, or nobody (a failed login)."""
    action: Mapped[str]
    object_kind: Mapped[str]
    object_id: Mapped[str]
    facts: Mapped[Json]
    chain_seq: Mapped[int | None]
    """1…n without gap once sealed; the order of sealing, ids commit out of order."""
    hash: Mapped[bytes | None]

    __table_args__ = (
        UniqueConstraint("chain_seq"),
        Index("ix_audit_entries_unsealed", "id", postgresql_where="chain_seq IS NULL"),
        Index("ix_audit_entries_object", "object_kind", "object_id", "id"),
        Index("ix_audit_entries_actor_id", "actor_id", "id"),
    )


async def note(
    session: AsyncSession,
    *,
    at: datetime,
    actor_id: UUID | None,
    action: str,
    target: tuple[str, object],
    **facts: Any,  # noqa: ANN401 - any JSON facts
) -> None:
    """Append one line. `target` is (kind, id); `facts` never hold secrets or report text."""
    kind, identity = target
    await session.execute(
        insert(AuditEntry).values(
            at=at,
            actor_id=actor_id,
            action=action,
            object_kind=kind,
            object_id=str(identity),
            facts=facts,
        )
    )
