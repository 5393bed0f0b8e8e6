"""Pairs of tokens: issuing, rotating, and ending sessions.

A refresh token is used once. Used again it ends its whole session, because somebody else has it.
One exception for answers lost on 2G: the very same request (same Idempotency-Key, same terminal)
repeated within a minute, once, gets a fresh pair, and the successor whose answer was lost dies.
So a session has one live refresh token at any time; a thief without the key ends the session.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import ColumnElement

from app.accounts.access_tokens import make_access_token, read_access_token
from app.accounts.models import LoginSession, RefreshToken, Terminal
from app.accounts.recognition import CallerCache, load_caller
from app.accounts.sign_in_errors import (
    RefreshTokenInvalid,
    RefreshTokenReused,
    SessionEnded,
    TerminalRevoked,
    TokenExpired,
    TokenInvalid,
)
from app.core import audit
from app.core.crypto import digest, random_token
from app.core.errors import Problem
from app.core.resources import Resources

REPLAY_WITHIN = timedelta(seconds=60)
_KEPT_AFTER_END = timedelta(days=30)
_TERMINAL_REVOKED = "terminal-revoked"


@dataclass(frozen=True, slots=True)
class TokenPair:
    access_token: str
    expires_in: int
    refresh_token: str | None
    """None for platforms: they ask again with their secret."""


@dataclass(frozen=True, slots=True)
class PresentedToken:
    refresh_token: str
    terminal_id: str | None
    idempotency_key: str | None


async def issue(
    session: AsyncSession, resources: Resources, login: LoginSession
) -> tuple[TokenPair, bytes]:
    """A pair for a person's session, and the digest under which the refresh token is known."""
    now = resources.clock.now()
    token = random_token()
    login.last_used_at = now
    login.expires_at = now + timedelta(seconds=resources.settings.tokens.refresh_s)
    session.add(
        RefreshToken(
            digest=digest(token),
            session_id=login.id,
            issued_at=now,
            expires_at=login.expires_at,
        )
    )
    await session.flush()
    if login.person_id is None:
        raise ValueError("platforms hold no refresh token")
    access = make_access_token(resources, login.person_id, login.id, "person")
    return TokenPair(access, resources.settings.tokens.access_s, token), digest(token)


async def refresh(resources: Resources, presented: PresentedToken) -> TokenPair:
    """A new pair for a refresh token; commits by itself, because refusals leave traces.

    Raises RefreshTokenInvalid, RefreshTokenReused, TerminalRevoked.
    """
    async with resources.sessions.begin() as session:
        outcome = await _rotate(session, resources, presented)
    if isinstance(outcome, Problem):
        resources.the(CallerCache).clear()
        raise outcome
    return outcome


async def _rotate(
    session: AsyncSession, resources: Resources, presented: PresentedToken
) -> TokenPair | Problem:
    now = resources.clock.now()
    found = (
        await session.execute(
            select(RefreshToken, LoginSession)
            .join(LoginSession, LoginSession.id == RefreshToken.session_id)
            .where(RefreshToken.digest == digest(presented.refresh_token))
            # two rotations at once: the second one sees what the first did
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one_or_none()
    if found is None:
        return RefreshTokenInvalid()
    token, login = found
    refusal = await _refusal(session, token, login, presented, now)
    if refusal is not None:
        return refusal
    pair, successor = await issue(session, resources, login)
    token.used_at = token.used_at or now
    token.used_with = None if token.successor else _key_digest(presented)
    token.successor = successor
    await _seen(session, login.terminal_id, now)
    return pair


async def _refusal(
    session: AsyncSession,
    token: RefreshToken,
    login: LoginSession,
    presented: PresentedToken,
    now: datetime,
) -> Problem | None:
    if login.revoked_reason == _TERMINAL_REVOKED:
        return TerminalRevoked()
    try:
        await load_caller(session, login.id, now)
    except SessionEnded:
        return RefreshTokenInvalid()
    if login.terminal_id and presented.terminal_id not in {None, login.terminal_id}:
        await _end_stolen(session, login, now, "other-terminal")
        return RefreshTokenInvalid()
    if token.used_at is not None and not await _replayed(session, token, login, presented, now):
        await _end_stolen(session, login, now, "refresh-token-reused")
        return RefreshTokenReused()
    return None if token.expires_at > now else RefreshTokenInvalid()


async def _replayed(
    session: AsyncSession,
    token: RefreshToken,
    login: LoginSession,
    presented: PresentedToken,
    now: datetime,
) -> bool:
    """Whether this is the same request again; if so the successor nobody used dies."""
    same_request = (
        token.used_at is not None
        and token.used_with is not None
        and token.used_with == _key_digest(presented)
        and presented.terminal_id == login.terminal_id
        and now - token.used_at <= REPLAY_WITHIN
    )
    if not same_request:
        return False
    killed = await session.execute(
        update(RefreshToken)
        .where(RefreshToken.digest == token.successor, RefreshToken.used_at.is_(None))
        .values(used_at=now)
        .returning(RefreshToken.digest)
    )
    return killed.one_or_none() is not None


def _key_digest(presented: PresentedToken) -> bytes | None:
    key = presented.idempotency_key
    return digest(key) if key else None


async def _seen(session: AsyncSession, terminal_id: str | None, now: datetime) -> None:
    if terminal_id is not None:
        await session.execute(
            update(Terminal).where(Terminal.id == terminal_id).values(last_seen_at=now)
        )


async def _end_stolen(
    session: AsyncSession, login: LoginSession, now: datetime, reason: str
) -> None:
    await end_sessions(session, LoginSession.id == login.id, at=now, reason=reason)
    await audit.note(
        session,
        at=now,
        actor_id=login.person_id,
        action="session.ended",
        target=("session", login.id),
        reason=reason,
    )


async def end_sessions(
    session: AsyncSession, *which: ColumnElement[bool], at: datetime, reason: str
) -> list[UUID]:
    """End the living sessions that meet all conditions; returns their ids.

    This process forgets its callers when the transaction commits (`ChangesRights`).
    """
    ended = await session.scalars(
        update(LoginSession)
        .where(LoginSession.revoked_at.is_(None), *which)
        .values(revoked_at=at, revoked_reason=reason)
        .returning(LoginSession.id)
    )
    return list(ended)


async def revoke(session: AsyncSession, resources: Resources, token: str) -> None:
    """End the session of an access or refresh token; an unknown one is fine (RFC 7009)."""
    now = resources.clock.now()
    session_id = await session.scalar(
        select(RefreshToken.session_id).where(RefreshToken.digest == digest(token))
    )
    if session_id is None:
        try:
            session_id = read_access_token(resources, token).session_id
        except (TokenInvalid, TokenExpired):
            return
    for ended in await end_sessions(
        session, LoginSession.id == session_id, at=now, reason="signed-out"
    ):
        login = await session.get_one(LoginSession, ended)
        await audit.note(
            session,
            at=now,
            actor_id=login.person_id or login.platform_id,
            action="session.ended",
            target=("session", ended),
            reason="signed-out",
        )


async def prune_sessions(session: AsyncSession, now: datetime) -> None:
    """Delete sessions that ended a month ago, with their tokens; a periodic job calls this."""
    await session.execute(
        delete(LoginSession).where(LoginSession.expires_at < now - _KEPT_AFTER_END)
    )
