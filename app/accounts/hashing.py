"""Passwords and secrets at rest: argon2id, in a thread, a few at a time; and what a good one is."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unicodedata import category as character_kind

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from app.accounts.sign_in_errors import PasswordTooWeak
from app.core.errors import Unavailable
from app.core.resources import Resources

SHORTEST = 10
LONGEST = 128
_KINDS = 3
_WAITING = 300
"""More in the queue than this would wait for seconds: the phone had better come back later."""

# OWASP's lower memory setting: 19 MiB, 2 passes, one lane, about 20 ms of one core
_ARGON2 = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)
_NOBODY = (
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
"""A hash nothing matches: names without an account cost the same work."""


def hash_secret(secret: str) -> str:
    """Blocks for some 20 ms; on the event loop use `Hashing.hash`."""
    return _ARGON2.hash(secret)


def _matches(hashed: str, secret: str) -> bool:
    try:
        return _ARGON2.verify(hashed, secret)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


class Hashing:
    """Half of the cores at most. Get it with `resources.the(Hashing)`."""

    def __init__(self, _: Resources) -> None:
        self._slots = asyncio.Semaphore(max(1, (os.cpu_count() or 1) // 2))
        self._waiting = 0

    async def hash(self, secret: str) -> str:
        async with self._turn():
            return await asyncio.to_thread(hash_secret, secret)

    async def matches(self, hashed: str | None, secret: str) -> bool:
        """Whether `secret` is the hashed one; without a hash the same work, and False."""
        async with self._turn():
            same = await asyncio.to_thread(_matches, hashed or _NOBODY, secret)
        return same and hashed is not None

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a free slot. Raises Unavailable when too many wait already."""
        if self._waiting >= _WAITING:
            raise Unavailable(headers={"Retry-After": "5"})
        self._waiting += 1
        try:
            async with self._slots:
                yield
        finally:
            self._waiting -= 1


def weaknesses(password: str, username: str) -> list[str]:
    """What is missing: `length`, `kinds`, `user-name`, `control-character`; empty is good."""
    kinds = [
        any(character.isupper() for character in password),
        any(character.islower() for character in password),
        any(character.isdigit() for character in password),
        any(not character.isalnum() or character_kind(character) == "Lo" for character in password),
    ]
    found = {
        "length": not SHORTEST <= len(password) <= LONGEST,
        "kinds": sum(kinds) < _KINDS,
        "user-name": bool(username) and username.casefold() in password.casefold(),
        "control-character": any(character_kind(character) == "Cc" for character in password),
    }
    return [reason for reason, missing in found.items() if missing]


def demand_strong(password: str, username: str) -> None:
    """Raises PasswordTooWeak."""
    reasons = weaknesses(password, username)
    if reasons:
        raise PasswordTooWeak(reasons=reasons)
