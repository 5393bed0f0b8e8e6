"""Idempotency keys of unsafe operations: the first 2xx answer is kept and given again.

The key's row is inserted in the operation's own transaction: a repeat that comes while the first
is still at work waits for it, one whose first attempt failed simply runs, and a crash between the
two leaves neither. Reports do not use this: their id is their key (I2). Source: I7, I8, I11.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Index, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.core.crypto import Keys
from app.core.db import Model
from app.core.errors import Problem

MOST_CHARACTERS = 100
KEPT_DAYS = 90
_PURPOSE = "kept-answer"


class KeyReused(
    Problem,
    status=422,
    code="operation-key-reused",
    zh="这个 Idempotency-Key 已用于另一个操作",
    en="This Idempotency-Key was used for another operation",
): ...


class KeyMalformed(
    Problem,
    status=400,
    code="operation-key-malformed",
    zh="Idempotency-Key 应为 1 至 100 个可见字符",
    en="An Idempotency-Key has 1 to 100 visible characters",
): ...


class KeptAnswer(Model):
    __tablename__ = "kept_answers"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    """Whose key it is: keys of different callers never meet."""
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    status: Mapped[int | None]
    sealed_body: Mapped[str | None]
    """Sealed: an answer may hold a secret that is shown once."""
    etag: Mapped[str | None]
    created_at: Mapped[datetime]

    __table_args__ = (Index("ix_kept_answers_created_at", "created_at"),)


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer: JSON in UTF-8, or nothing."""

    status: int
    body: bytes
    etag: str | None


class Replayed(Exception):  # noqa: N818 - names the fact; the renderer answers it
    """The operation was carried out before: this is what was answered."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Operation:
    """One keyed request. `key` is bare: the quotes of the header are off."""

    owner_id: UUID
    key: str
    fingerprint: bytes


def operation(owner_id: UUID, header: str, method: str, path: str, body: bytes) -> Operation:
    """Raises KeyMalformed."""
    key = header.strip().strip('"')
    if not (1 <= len(key) <= MOST_CHARACTERS and key.isprintable() and key.isascii()):
        raise KeyMalformed
    digest = hashlib.sha256(f"{method} {path}\n".encode() + body).digest()
    return Operation(owner_id, key, digest)


async def claim(session: AsyncSession, keyed: Operation, keys: Keys, at: datetime) -> None:
    """Begin a keyed operation. Raises Replayed for a repeat, KeyReused for another content."""
    claimed = await session.scalar(
        insert(KeptAnswer)
        .values(
            owner_id=keyed.owner_id, key=keyed.key, fingerprint=keyed.fingerprint, created_at=at
        )
        .on_conflict_do_nothing()
        .returning(KeptAnswer.key)
    )
    if claimed is not None:
        return
    kept = await session.scalar(
        select(KeptAnswer).where(KeptAnswer.owner_id == keyed.owner_id, KeptAnswer.key == keyed.key)
    )
    if kept is None or kept.fingerprint != keyed.fingerprint:
        raise KeyReused
    body = keys.unseal(_PURPOSE, kept.sealed_body) if kept.sealed_body else ""
    raise Replayed(Answer(kept.status or 204, body.encode(), kept.etag))


async def keep(session: AsyncSession, keyed: Operation, keys: Keys, answer: Answer) -> None:
    """Remember the answer, in the transaction of the operation itself."""
    await session.execute(
        update(KeptAnswer)
        .where(KeptAnswer.owner_id == keyed.owner_id, KeptAnswer.key == keyed.key)
        .values(
            status=answer.status,
            sealed_body=keys.seal(_PURPOSE, answer.body.decode()),
            etag=answer.etag,
        )
        .execution_options(synchronize_session=False)
    )


async def prune(session: AsyncSession, now: datetime) -> None:
    """Forget answers older than 90 days."""
    await session.execute(
        delete(KeptAnswer)
        .where(KeptAnswer.created_at < now - timedelta(days=KEPT_DAYS))
        .execution_options(synchronize_session=False)
    )
