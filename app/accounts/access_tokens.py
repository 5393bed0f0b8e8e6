"""Access tokens: JWT (HS256) of at most 15 minutes, naming a session, never a right."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, cast
from uuid import UUID

import jwt

from app.accounts.sign_in_errors import TokenExpired, TokenInvalid
from app.core.resources import Resources

_PURPOSE = "access-token"
_LONGEST = 2048
_MOST = 20_000


@dataclass(frozen=True, slots=True)
class AccessClaims:
    subject: UUID
    session_id: UUID
    kind: Literal["person", "platform"]
    expires_at: datetime


def make_access_token(
    resources: Resources, subject: UUID, session_id: UUID, kind: Literal["person", "platform"]
) -> str:
    now = resources.clock.now()
    ends = now + timedelta(seconds=resources.settings.tokens.access_s)
    claims = {
        "sub": str(subject),
        "sid": str(session_id),
        "kind": kind,
        "iat": int(now.timestamp()),
        "exp": int(ends.timestamp()),
    }
    return jwt.encode(claims, resources.keys.key(_PURPOSE), algorithm="HS256")


class KnownTokens:
    """Claims of tokens whose signature was found good. Get it with `resources.the(KnownTokens)`."""

    def __init__(self, resources: Resources) -> None:
        del resources  # the shape of everything kept in Resources
        self._claims: dict[str, AccessClaims] = {}

    def get(self, token: str) -> AccessClaims | None:
        return self._claims.get(token)

    def put(self, token: str, claims: AccessClaims) -> None:
        if len(self._claims) >= _MOST:
            self._claims.clear()
        self._claims[token] = claims


def read_access_token(resources: Resources, token: str) -> AccessClaims:
    """Raises TokenInvalid, TokenExpired."""
    known = resources.the(KnownTokens)
    claims = known.get(token)
    if claims is None:
        claims = _verified(resources, token)
        known.put(token, claims)
    if claims.expires_at <= resources.clock.now():
        raise TokenExpired
    return claims


def _verified(resources: Resources, token: str) -> AccessClaims:
    if len(token) > _LONGEST:
        raise TokenInvalid
    try:
        claims = jwt.decode(
            token,
            resources.keys.key(_PURPOSE),
            algorithms=["HS256"],
            # the library looks at the machine's time; ours is compared below
            options={
                "require": ["sub", "sid", "kind", "exp"],
                "verify_exp": False,
                "verify_iat": False,
            },
        )
        return AccessClaims(
            subject=UUID(claims["sub"]),
            session_id=UUID(claims["sid"]),
            kind=cast("Literal['person', 'platform']", claims["kind"]),
            expires_at=datetime.fromtimestamp(int(claims["exp"]), UTC),
        )
    except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, OverflowError) as broken:
        raise TokenInvalid from broken
