"""Signing in with a password, or as a platform with its secret.

These open their own short transactions: no connection is held while a password is hashed, and a
refusal has to leave its count and its line in the audit trail although the request fails.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import lockout
from app.accounts.access_tokens import make_access_token
from app.accounts.hashing import Hashing
from app.accounts.lockout import AddressPatience, Lock
from app.accounts.models import LoginSession, Person, Platform, Terminal
from app.accounts.sign_in_errors import (
    AccountLocked,
    InvalidCredentials,
    TerminalPending,
    TerminalRevoked,
)
from app.accounts.tokens import TokenPair, issue
from app.core import audit
from app.core.db import new_id
from app.core.errors import Problem
from app.core.resources import Resources


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody at the door. `terminal_id` None: a web desk."""

    username: str
    password: str
    address: str
    terminal_id: str | None = None
    model: str | None = None
    app_version: str | None = None


@dataclass(frozen=True, slots=True)
class _Account:
    """What is known before the password is checked; no id and no hash for an unknown name."""

    id: UUID | None
    secret_hash: str | None
    lock: Lock


async def sign_in(resources: Resources, attempt: Attempt) -> TokenPair:
    """Raises InvalidCredentials, AccountLocked, TerminalRevoked, TerminalPending."""
    await _hold_back(resources, attempt.address)
    async with resources.sessions.begin() as session:
        account = await _find_person(session, resources, attempt)
        await _demand_unlocked(session, resources, account.lock)
    right = await resources.the(Hashing).matches(account.secret_hash, attempt.password)
    async with resources.sessions.begin() as session:
        if right:
            outcome = await _enter(session, resources, account, attempt)
        else:
            outcome = await _refuse(session, resources, account, "person")
    return _settled(resources, attempt.address, outcome)


async def sign_in_platform(
    resources: Resources, client_id: str, secret: str, address: str
) -> TokenPair:
    """Client credentials: no refresh token. Raises InvalidCredentials, AccountLocked."""
    await _hold_back(resources, address)
    async with resources.sessions.begin() as session:
        account = await _find_platform(session, resources, client_id)
        await _demand_unlocked(session, resources, account.lock)
    right = await resources.the(Hashing).matches(account.secret_hash, secret)
    async with resources.sessions.begin() as session:
        if right:
            outcome = await _enter_platform(session, resources, account)
        else:
            outcome = await _refuse(session, resources, account, "platform")
    return _settled(resources, address, outcome)


async def _hold_back(resources: Resources, address: str) -> None:
    delay = resources.the(AddressPatience).delay_s(address)
    if delay:
        await asyncio.sleep(delay)


def _settled(resources: Resources, address: str, outcome: TokenPair | Problem) -> TokenPair:
    if isinstance(outcome, Problem):
        if isinstance(outcome, InvalidCredentials):
            resources.the(AddressPatience).failed(address)
        raise outcome
    return outcome


async def _find_person(session: AsyncSession, resources: Resources, attempt: Attempt) -> _Account:
    """The same two questions and the same hash for names that exist and names that don't."""
    row = (
        await session.execute(
            select(Person.id, Person.password_hash, Person.state, Terminal.id.label("own_terminal"))
            .outerjoin(
                Terminal,
                (Terminal.person_id == Person.id) & (Terminal.id == attempt.terminal_id),
            )
            .where(func.lower(Person.username) == attempt.username.lower())
        )
    ).one_or_none()
    key = lockout.account_key(resources.keys, "person", attempt.username)
    if row is None or row.state != "active":
        return _Account(None, None, Lock(key))
    return _Account(row.id, row.password_hash, Lock(key, row.own_terminal or ""))


async def _find_platform(session: AsyncSession, resources: Resources, client_id: str) -> _Account:
    row = (
        await session.execute(
            select(Platform.id, Platform.secret_hash).where(
                Platform.code == client_id, Platform.state == "active"
            )
        )
    ).one_or_none()
    key = lockout.account_key(resources.keys, "platform", client_id)
    return _Account(row.id, row.secret_hash, Lock(key)) if row else _Account(None, None, Lock(key))


async def _demand_unlocked(session: AsyncSession, resources: Resources, lock: Lock) -> None:
    wait = await lockout.locked_for(session, lock, resources.clock.now())
    if wait:
        raise AccountLocked(wait)


async def _refuse(
    session: AsyncSession, resources: Resources, account: _Account, kind: str
) -> Problem:
    now = resources.clock.now()
    wait = await lockout.locked_for(session, account.lock, now)
    if wait:  # locked by others while this one was hashing: what it guessed stays unsaid
        return AccountLocked(wait)
    await lockout.count_failure(session, account.lock, now, resources.settings.tokens)
    await audit.note(
        session,
        at=now,
        actor_id=None,
        action="login.failed",
        target=(kind, account.id or "unknown"),
        terminal_id=account.lock.terminal_id or None,
    )
    return InvalidCredentials()


async def _enter(
    session: AsyncSession, resources: Resources, account: _Account, attempt: Attempt
) -> TokenPair | Problem:
    now = resources.clock.now()
    wait = await lockout.locked_for(session, account.lock, now)
    if wait:
        return AccountLocked(wait)
    person = await session.scalar(
        select(Person).where(Person.id == account.id).with_for_update(read=True)
    )
    changed_meanwhile = person is None or person.password_hash != account.secret_hash
    if person is None or changed_meanwhile or person.state != "active":
        return InvalidCredentials()
    refusal = await _admit_terminal(session, resources, person.id, attempt)
    if refusal is not None:
        return refusal
    await lockout.forgive(session, account.lock)
    login = await _open_session(session, now, person_id=person.id, terminal_id=attempt.terminal_id)
    pair, _ = await issue(session, resources, login)
    return pair


async def _enter_platform(
    session: AsyncSession, resources: Resources, account: _Account
) -> TokenPair | Problem:
    now = resources.clock.now()
    wait = await lockout.locked_for(session, account.lock, now)
    if wait or account.id is None:
        return AccountLocked(wait)
    await lockout.forgive(session, account.lock)
    lasts = resources.settings.tokens.access_s
    login = await _open_session(
        session, now, platform_id=account.id, expires_at=now + timedelta(seconds=lasts)
    )
    access = make_access_token(resources, account.id, login.id, "platform")
    return TokenPair(access, lasts, None)


async def _open_session(
    session: AsyncSession,
    now: datetime,
    *,
    person_id: UUID | None = None,
    platform_id: UUID | None = None,
    terminal_id: str | None = None,
    expires_at: datetime | None = None,
) -> LoginSession:
    login = LoginSession(
        id=new_id(),
        person_id=person_id,
        platform_id=platform_id,
        terminal_id=terminal_id,
        created_at=now,
        last_used_at=now,
        expires_at=expires_at or now,
    )
    session.add(login)
    await session.flush()
    await audit.note(
        session,
        at=now,
        actor_id=person_id or platform_id,
        action="login.succeeded",
        target=("session", login.id),
        terminal_id=terminal_id,
    )
    return login


async def _admit_terminal(
    session: AsyncSession, resources: Resources, person_id: UUID, attempt: Attempt
) -> Problem | None:
    """Bind an unknown terminal as the settings say; what keeps it out, or None."""
    if attempt.terminal_id is None:
        return None
    now = resources.clock.now()
    state = "active" if resources.settings.terminals.binding == "open" else "pending"
    bound = await session.scalar(
        insert(Terminal)
        .values(id=attempt.terminal_id, person_id=person_id, state=state, bound_at=now)
        .on_conflict_do_nothing()
        .returning(Terminal.id)
    )
    if bound is not None:
        await audit.note(
            session,
            at=now,
            actor_id=person_id,
            action="terminal.bound",
            target=("terminal", bound),
            state=state,
        )
    terminal = await session.get_one(Terminal, attempt.terminal_id, with_for_update=True)
    terminal.last_seen_at = now
    terminal.model = attempt.model or terminal.model
    terminal.app_version = attempt.app_version or terminal.app_version
    return {"revoked": TerminalRevoked(), "pending": TerminalPending()}.get(terminal.state)
