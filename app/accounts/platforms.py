"""Machines of the townships: a new secret, switched off, switched on."""

import asyncio
from collections.abc import Collection
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.errors import PlatformNotFound
from app.accounts.hashing import hash_secret
from app.accounts.models import LoginSession, Platform, Unit
from app.accounts.queries import among
from app.accounts.tokens import end_sessions
from app.core import audit
from app.core.crypto import random_token


async def find_platform(
    session: AsyncSession, areas: Collection[str], platform_id: UUID
) -> Platform:
    """A machine of a unit in these areas, its row locked. Raises PlatformNotFound."""
    platform = await session.scalar(
        select(Platform)
        .join(Unit, Unit.id == Platform.unit_id)
        .where(Platform.id == platform_id, among(Unit.area_code, areas))
        .with_for_update(of=Platform)
    )
    if platform is None:
        raise PlatformNotFound
    return platform


async def rotate_secret(
    session: AsyncSession, platform: Platform, actor_id: UUID, at: datetime
) -> str:
    """A new secret, shown this once; the old one and all its tokens end at once."""
    secret = random_token()
    platform.secret_hash = await asyncio.to_thread(hash_secret, secret)
    await session.flush()
    await _end(session, platform, at, "secret-rotated")
    await _note(session, platform, "platform.secret_rotated", actor_id, at)
    return secret


async def switch(
    session: AsyncSession,
    platform: Platform,
    state: Literal["active", "disabled"],
    actor_id: UUID,
    at: datetime,
) -> Platform:
    platform.state = state
    await session.flush()
    if state == "disabled":
        await _end(session, platform, at, "platform-disabled")
    await _note(session, platform, f"platform.{state}", actor_id, at)
    return platform


async def _end(session: AsyncSession, platform: Platform, at: datetime, reason: str) -> None:
    await end_sessions(session, LoginSession.platform_id == platform.id, at=at, reason=reason)


async def _note(
    session: AsyncSession, platform: Platform, action: str, actor_id: UUID, at: datetime
) -> None:
    await audit.note(
        session, at=at, actor_id=actor_id, action=action, target=("platform", platform.id)
    )
