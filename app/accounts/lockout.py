"""Wrong passwords: five lock the account for a while, on that terminal; an address is slowed.

A lock holds for the name typed (existing or not) together with the terminal its owner has bound;
all other terminals, and none, share one lock. So a stranger who knows a name can't lock its owner
out of their own handset. A bound terminal that tries many names is locked as a whole.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import and_, case, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import LoginFailure
from app.core.crypto import Keys
from app.core.resources import Resources
from app.core.settings import TokenSettings

_ANY_ACCOUNT = "*"
_WHOLE_TERMINAL = 4
"""A handset shared by colleagues may mistype this many times as often as one account."""
_PATIENCE = 100
"""Failures of one address before it is slowed: 1,216 phones share one gateway."""
_SLOWEST_S = 5.0
_ADDRESSES = 20_000


@dataclass(frozen=True, slots=True)
class Lock:
    """What an attempt is counted against. `terminal_id` is empty unless bound by the account."""

    account: str
    terminal_id: str = ""


def account_key(keys: Keys, kind: str, typed_name: str) -> str:
    """`kind` is person, platform or reset: they never lock each other."""
    return keys.sign("login-failures", f"{kind}:{typed_name.casefold()}".encode())


def _rows(lock: Lock) -> list[tuple[str, str, int]]:
    """(account, terminal, how many times the limit it bears)."""
    rows = [(lock.account, lock.terminal_id, 1)]
    if lock.terminal_id:
        rows.append((_ANY_ACCOUNT, lock.terminal_id, _WHOLE_TERMINAL))
    return rows


async def locked_for(session: AsyncSession, lock: Lock, now: datetime) -> int:
    """Seconds the lock still holds, rounded up; 0: free. Keeps the rows locked until commit."""
    wanted = [
        and_(LoginFailure.account == account, LoginFailure.terminal_id == terminal_id)
        for account, terminal_id, _ in _rows(lock)
    ]
    until = await session.scalars(
        select(LoginFailure.locked_until)
        .where(or_(*wanted))
        .order_by(LoginFailure.account)
        .with_for_update()
    )
    left = [(moment - now).total_seconds() for moment in until if moment is not None]
    return max(0, ceil(max(left, default=0)))


async def count_failure(
    session: AsyncSession, lock: Lock, now: datetime, limits: TokenSettings
) -> None:
    """One more; the last one allowed locks. Failures older than the lock's length are forgotten."""
    ends = now + timedelta(seconds=limits.lock_s)
    recent = LoginFailure.last_at > now - timedelta(seconds=limits.lock_s)
    for account, terminal_id, times in _rows(lock):
        full = and_(recent, LoginFailure.failures + 1 >= limits.lock_after * times)
        await session.execute(
            insert(LoginFailure)
            .values(account=account, terminal_id=terminal_id, failures=1, last_at=now)
            .on_conflict_do_update(
                index_elements=["account", "terminal_id"],
                set_={
                    "failures": case((recent, LoginFailure.failures + 1), else_=1),
                    "last_at": func.greatest(LoginFailure.last_at, now),
                    "locked_until": case((full, ends), else_=None),
                },
            )
        )


async def forgive(session: AsyncSession, lock: Lock) -> None:
    """After the right password; a terminal's own count only fades with time."""
    await session.execute(
        delete(LoginFailure).where(
            LoginFailure.account == lock.account, LoginFailure.terminal_id == lock.terminal_id
        )
    )


async def forgive_everywhere(session: AsyncSession, account: str) -> None:
    """After a reset: the account's locks on all terminals."""
    await session.execute(delete(LoginFailure).where(LoginFailure.account == account))


async def prune_failures(session: AsyncSession, now: datetime, limits: TokenSettings) -> None:
    """Delete what no longer counts; a periodic job calls this."""
    faded = now - timedelta(seconds=2 * limits.lock_s)
    await session.execute(delete(LoginFailure).where(LoginFailure.last_at < faded))


class AddressPatience:
    """Failures by network address in this process. Get it with `resources.the(AddressPatience)`.

    Never refuses: it only says how long an attempt is held back, because one gateway serves all.
    """

    def __init__(self, resources: Resources) -> None:
        self._clock = resources.clock
        self._forget_after = timedelta(seconds=resources.settings.tokens.lock_s)
        self._failures: dict[str, tuple[int, datetime]] = {}

    def delay_s(self, address: str) -> float:
        """0 for the first hundred failures, then 0.1 s more for each, up to 5 s."""
        return min(_SLOWEST_S, max(0, self._count(address) - _PATIENCE + 1) * 0.1)

    def failed(self, address: str) -> None:
        if len(self._failures) >= _ADDRESSES:
            self._failures.clear()
        self._failures[address] = (self._count(address) + 1, self._clock.now())

    def _count(self, address: str) -> int:
        count, last = self._failures.get(address, (0, self._clock.now()))
        return count if self._clock.now() - last < self._forget_after else 0
