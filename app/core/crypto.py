"""Keys derived from one root secret; signing, tokens and field encryption use them by purpose."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12


class SealBroken(Exception):  # noqa: N818 - names the fact
    """A sealed text was altered, cut, or sealed under another key or purpose."""


class Keys:
    """Derives one 32-byte key per purpose from the root secret (HKDF-SHA256, RFC 5869)."""

    def __init__(self, root: str) -> None:
        if not root:
            raise ValueError("ETONG_SECRET_KEY is not set")
        self._root = root.encode()
        self._derived: dict[str, bytes] = {}

    def key(self, purpose: str) -> bytes:
        if purpose not in self._derived:
            self._derived[purpose] = self.once(purpose)
        return self._derived[purpose]

    def once(self, purpose: str) -> bytes:
        """The key of a purpose of which there are many: derived and not kept."""
        kdf = HKDF(algorithm=SHA256(), length=32, salt=b"etong", info=purpose.encode())
        return kdf.derive(self._root)

    def sign(self, purpose: str, message: bytes) -> str:
        """128 bits of HMAC-SHA256, base64url without padding (22 characters)."""
        return b64(hmac.digest(self.key(purpose), message, hashlib.sha256)[:16])

    def mac(self, purpose: str, message: bytes) -> bytes:
        """32 bytes of HMAC-SHA256."""
        return hmac.digest(self.key(purpose), message, hashlib.sha256)

    def verify(self, purpose: str, message: bytes, signature: str) -> bool:
        return hmac.compare_digest(self.sign(purpose, message).encode(), signature.encode())

    def seal(self, purpose: str, text: str) -> str:
        """AES-256-GCM: `v1.` + base64url(nonce + ciphertext); the purpose is bound in."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = AESGCM(self.key(purpose)).encrypt(nonce, text.encode(), purpose.encode())
        return "v1." + b64(nonce + sealed)

    def unseal(self, purpose: str, sealed: str) -> str:
        """The text of `seal`. Raises SealBroken."""
        try:
            raw = unb64(sealed.removeprefix("v1."))
            nonce, body = raw[:_NONCE], raw[_NONCE:]
            return AESGCM(self.key(purpose)).decrypt(nonce, body, purpose.encode()).decode()
        except (ValueError, InvalidTag) as broken:
            raise SealBroken from broken


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Bytes of unpadded base64url. Raises ValueError."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def random_token(size: int = 32) -> str:
    """`size` random bytes as base64url: 32 bytes give 43 characters."""
    return secrets.token_urlsafe(size)


def digest(text: str) -> bytes:
    """SHA-256 of a secret that is itself random, for storage."""
    return hashlib.sha256(text.encode()).digest()
