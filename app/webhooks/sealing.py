"""Secrets at rest, and which of them sign now."""

from datetime import datetime, timedelta
from typing import Protocol

from app.core.crypto import Keys
from app.webhooks.models import CallbackSecret, Endpoint
from app.webhooks.signing import new_secret

PURPOSE = "webhook-secret"
ROTATION = timedelta(hours=24)


class Sealed(Protocol):
    """A secret, and a former one that stays valid for a while."""

    @property
    def secret(self) -> str: ...
    @property
    def former_secret(self) -> str | None: ...
    @property
    def former_until(self) -> datetime | None: ...


def made(keys: Keys) -> tuple[str, str]:
    """A new secret: as it is shown, and as it is stored."""
    secret = new_secret()
    return secret, keys.seal(PURPOSE, secret)


def rotated(row: Endpoint | CallbackSecret, keys: Keys, now: datetime) -> str:
    """Give the row a new secret; the one it had goes on for a day. Returns the new one."""
    secret, sealed = made(keys)
    row.former_secret, row.former_until = row.secret, now + ROTATION
    row.secret = sealed
    return secret


def valid(row: Sealed, keys: Keys, now: datetime) -> list[str]:
    """The secrets in use, the newest first."""
    found = [keys.unseal(PURPOSE, row.secret)]
    if row.former_secret is not None and row.former_until is not None and now < row.former_until:
        found.append(keys.unseal(PURPOSE, row.former_secret))
    return found
