"""Standard Webhooks 1.0.0: secrets, signatures, and how both are checked (pure).

Source: github.com/standard-webhooks/standard-webhooks, spec 1.0.0.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

PREFIX = "whsec_"
TOLERANCE = timedelta(minutes=5)
_SECRET_BYTES = 32
_VERSION = "v1,"
_LONGEST_ID = 200


class SignatureInvalid(Exception):  # noqa: N818 - names the fact
    """The message was not signed with one of the secrets, or not just now."""


def new_secret() -> str:
    """`whsec_` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,<base64 HMAC-SHA256>` over `id.timestamp.body`; `timestamp` in seconds since 1970."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    mac = hmac.digest(_key(secret), signed, hashlib.sha256)
    return _VERSION + base64.b64encode(mac).decode()


def signed_headers(
    keys: Sequence[str], message_id: str, at: datetime, body: bytes
) -> dict[str, str]:
    """The three headers; several secrets (during a rotation) give several signatures."""
    timestamp = int(at.timestamp())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(k, message_id, timestamp, body) for k in keys),
    }


def verify(keys: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """The message's id. `headers` by lower-case name.

    Raises SignatureInvalid: missing or malformed headers, a time more than five minutes off, no
    signature that fits. Every secret is compared in constant time.
    """
    message_id = headers.get("webhook-id", "")
    sent_at = headers.get("webhook-timestamp", "")
    if not 0 < len(message_id) <= _LONGEST_ID or not message_id.isascii():
        raise SignatureInvalid
    if not (sent_at.isascii() and sent_at.isdecimal() and len(sent_at) < 15):  # noqa: PLR2004 - seconds for a million years
        raise SignatureInvalid
    if abs(int(sent_at) - now.timestamp()) > TOLERANCE.total_seconds():
        raise SignatureInvalid
    given = [item.encode() for item in headers.get("webhook-signature", "").split(" ")]
    wanted = [signature(key, message_id, int(sent_at), body).encode() for key in keys]
    fits = [hmac.compare_digest(one, other) for one in wanted for other in given]
    if not any(fits):
        raise SignatureInvalid
    return message_id


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as broken:
        raise ValueError("a webhook secret is whsec_ and base64") from broken
