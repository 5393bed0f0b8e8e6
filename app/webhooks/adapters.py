"""Platforms that cannot sign (W17): a static token, the network it comes from, a time, a nonce.

The token travels with every message, so it proves less than a signature: nothing is believed until
an administrator has opened the adapter of that one platform, and never from elsewhere.
"""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import audit
from app.core.crypto import digest, random_token
from app.webhooks.callback_schemas import NewAdapter
from app.webhooks.models import CallbackAdapter
from app.webhooks.signing import TOLERANCE, SignatureInvalid

_SECONDS, _MILLISECONDS = 10, 13
"""Digits of a time that counts them, from 2001 to 2286."""
_LONGEST = 200


def admitted(
    adapter: CallbackAdapter, headers: Mapping[str, str], address: str, now: datetime
) -> str:
    """The nonce, which is the message's id: kept, so that nobody says the same a second time.

    Raises SignatureInvalid: another token, from elsewhere, not just now, without a nonce.
    """
    shown = digest(headers.get(adapter.token_header, ""))
    if not hmac.compare_digest(shown, adapter.token_digest):
        raise SignatureInvalid
    if not _comes_from(adapter, address):
        raise SignatureInvalid
    if abs(_instant(headers.get(adapter.timestamp_header, "")) - now) > TOLERANCE:
        raise SignatureInvalid
    nonce = headers.get(adapter.nonce_header, "")
    if not 0 < len(nonce) <= _LONGEST:
        raise SignatureInvalid
    return nonce


async def open_for(
    session: AsyncSession, platform_id: UUID, wanted: NewAdapter, actor_id: UUID, now: datetime
) -> str:
    """Open the adapter, or open it anew. Returns its token, which is shown this once."""
    token = random_token()
    row = {**wanted.model_dump(), "token_digest": digest(token), "changed_at": now}
    await session.execute(
        insert(CallbackAdapter)
        .values(platform_id=platform_id, **row)
        .on_conflict_do_update(index_elements=["platform_id"], set_=row)
    )
    await audit.note(
        session,
        at=now,
        actor_id=actor_id,
        action="platform.callback_adapter_opened",
        target=("platform", platform_id),
        networks=wanted.networks,
    )
    return token


async def close_for(
    session: AsyncSession, platform_id: UUID, actor_id: UUID, now: datetime
) -> None:
    await session.execute(delete(CallbackAdapter).where(CallbackAdapter.platform_id == platform_id))
    await audit.note(
        session,
        at=now,
        actor_id=actor_id,
        action="platform.callback_adapter_closed",
        target=("platform", platform_id),
    )


def _comes_from(adapter: CallbackAdapter, address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None) or found
    return any(mapped in ip_network(network) for network in adapter.networks)


def _instant(said: str) -> datetime:
    """Seconds or milliseconds since 1970. Raises SignatureInvalid."""
    if not (said.isascii() and said.isdecimal() and len(said) in {_SECONDS, _MILLISECONDS}):
        raise SignatureInvalid
    parts = 1000 if len(said) == _MILLISECONDS else 1
    return datetime.fromtimestamp(int(said) / parts, UTC)
