"""Changing a password, giving out one-time codes, setting a password with one.

Changing and setting open their own short transactions: no connection is held while hashing.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import lockout
from app.accounts.caller import Caller
from app.accounts.hashing import Hashing, demand_strong
from app.accounts.lockout import AddressPatience, Lock
from app.accounts.models import FormerPassword, LoginSession, PasswordReset, Person
from app.accounts.recognition import CallerCache
from app.accounts.sign_in_errors import (
    AccountLocked,
    OldPasswordWrong,
    PasswordUsedBefore,
    ResetCodeInvalid,
)
from app.accounts.tokens import end_sessions
from app.core import audit
from app.core.crypto import Keys, SealBroken, digest
from app.core.resources import Resources

REMEMBERED = 5
CODE_LASTS = timedelta(days=3)
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""32 signs nobody confuses on the telephone."""
_CODE_LENGTH = 12
_PHONE = "person-phone"


def seal_phone(keys: Keys, phone: str | None) -> str | None:
    return keys.seal(_PHONE, phone) if phone else None


def masked_phone(keys: Keys, sealed: str | None) -> str | None:
    """`138****5678`; None without one, or if it can't be opened any more."""
    if sealed is None:
        return None
    try:
        phone = keys.unseal(_PHONE, sealed)
    except SealBroken:
        return None
    return phone[:3] + "****" + phone[-4:]


@dataclass(frozen=True, slots=True)
class _Known:
    person_id: UUID
    username: str
    present: str | None
    former: list[str]


async def change_password(resources: Resources, caller: Caller, old: str, new: str) -> None:
    """Ends all other sessions of the caller; the same change once more is done already (I11).

    Raises OldPasswordWrong, AccountLocked, PasswordTooWeak, PasswordUsedBefore.
    """
    key = lockout.account_key(resources.keys, "change", caller.username)
    async with resources.sessions.begin() as session:
        await _demand_unlocked(session, resources, key)
        known = await _known(session, caller.id)
    hashing = resources.the(Hashing)
    if not await hashing.matches(known.present, old):
        if await hashing.matches(known.present, new):
            return
        await _count(resources, key)
        raise OldPasswordWrong
    hashed = await _fresh_hash(resources, known, new)
    async with resources.sessions.begin() as session:
        await _set_password(session, known.person_id, hashed, resources.clock.now())
        await _end_others(session, caller, resources.clock.now())
        await lockout.forgive_everywhere(session, key)
    resources.the(CallerCache).clear()


async def issue_reset(
    session: AsyncSession, *, person_id: UUID, actor_id: UUID | None, at: datetime
) -> tuple[str, datetime]:
    """A one-time code (12 signs, three days) and when it ends; earlier codes die."""
    code = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))
    await session.execute(
        update(PasswordReset)
        .where(PasswordReset.person_id == person_id, PasswordReset.used_at.is_(None))
        .values(used_at=at)
    )
    ends = at + CODE_LASTS
    session.add(
        PasswordReset(
            person_id=person_id,
            digest=digest(code),
            issued_at=at,
            issued_by=actor_id,
            expires_at=ends,
        )
    )
    await session.flush()
    await audit.note(
        session,
        at=at,
        actor_id=actor_id,
        action="password.reset_issued",
        target=("person", person_id),
    )
    return code, ends


async def reset_password(
    resources: Resources, *, username: str, code: str, new: str, address: str
) -> None:
    """Set a password with a one-time code; all sessions end, all locks open.

    The same once more is done already (I11): the code alone sets no second password.
    Raises ResetCodeInvalid (unknown names too), AccountLocked, PasswordTooWeak,
    PasswordUsedBefore.
    """
    key = lockout.account_key(resources.keys, "reset", username)
    async with resources.sessions.begin() as session:
        await _demand_unlocked(session, resources, key)
        given = (await session.execute(_given(username, code, resources.clock.now()))).first()
        known = await _known(session, given.person_id) if given else None
    if given and known and given.used_at:
        if await resources.the(Hashing).matches(known.present, new):
            return
        known = None
    if known is None:
        resources.the(AddressPatience).failed(address)
        await _count(resources, key)
        raise ResetCodeInvalid
    hashed = await _fresh_hash(resources, known, new)
    async with resources.sessions.begin() as session:
        now = resources.clock.now()
        await _use_code(session, known.person_id, code, now)
        await _set_password(session, known.person_id, hashed, now)
        await end_sessions(
            session, LoginSession.person_id == known.person_id, at=now, reason="password-reset"
        )
        sign_in_key = lockout.account_key(resources.keys, "person", known.username)
        await lockout.forgive_everywhere(session, sign_in_key)
    resources.the(CallerCache).clear()


async def _known(session: AsyncSession, person_id: UUID) -> _Known:
    person = await session.get_one(Person, person_id)
    former = await session.scalars(
        select(FormerPassword.password_hash)
        .where(FormerPassword.person_id == person_id)
        .order_by(FormerPassword.set_at.desc(), FormerPassword.id.desc())
        .limit(REMEMBERED)
    )
    return _Known(person.id, person.username, person.password_hash, list(former))


async def _fresh_hash(resources: Resources, known: _Known, new: str) -> str:
    demand_strong(new, known.username)
    hashing = resources.the(Hashing)
    for former in known.former:
        if await hashing.matches(former, new):
            raise PasswordUsedBefore
    return await hashing.hash(new)


def _given(username: str, code: str, now: datetime) -> Select[UUID, datetime | None]:
    return (
        select(PasswordReset.person_id, PasswordReset.used_at)
        .join(Person, Person.id == PasswordReset.person_id)
        .where(
            func.lower(Person.username) == username.lower(),
            Person.state == "active",
            PasswordReset.digest == digest(code),
            PasswordReset.expires_at > now,
        )
    )


async def _use_code(session: AsyncSession, person_id: UUID, code: str, now: datetime) -> None:
    used = await session.scalar(
        update(PasswordReset)
        .where(
            PasswordReset.person_id == person_id,
            PasswordReset.digest == digest(code),
            PasswordReset.used_at.is_(None),
        )
        .values(used_at=now)
        .returning(PasswordReset.id)
    )
    if used is None:  # somebody was faster with the same code
        raise ResetCodeInvalid


async def _set_password(session: AsyncSession, person_id: UUID, hashed: str, now: datetime) -> None:
    await session.execute(
        update(Person)
        .where(Person.id == person_id)
        .values(password_hash=hashed, must_change_password=False, password_changed_at=now)
    )
    session.add(FormerPassword(person_id=person_id, password_hash=hashed, set_at=now))
    await session.flush()
    await audit.note(
        session, at=now, actor_id=person_id, action="password.changed", target=("person", person_id)
    )


async def _end_others(session: AsyncSession, caller: Caller, now: datetime) -> None:
    await end_sessions(
        session,
        LoginSession.person_id == caller.id,
        LoginSession.id != caller.session_id,
        at=now,
        reason="password-changed",
    )


async def _demand_unlocked(session: AsyncSession, resources: Resources, key: str) -> None:
    wait = await lockout.locked_for(session, Lock(key), resources.clock.now())
    if wait:
        raise AccountLocked(wait)


async def _count(resources: Resources, key: str) -> None:
    async with resources.sessions.begin() as session:
        limits = resources.settings.tokens
        await lockout.count_failure(session, Lock(key), resources.clock.now(), limits)
