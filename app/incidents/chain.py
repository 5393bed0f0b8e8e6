"""The history's hash chain: each entry's hash covers its facts and the hash before it (pure)."""

import hashlib
from collections.abc import Iterable
from typing import Any, Protocol
from uuid import UUID

import orjson

from app.core.clock import micros

GENESIS = bytes(32)
SALT_BYTES = 16


class Link(Protocol):
    """What of an entry the chain covers."""

    incident_id: Any
    seq: Any
    at: Any
    actor_id: Any
    actor_name: Any
    unit_id: Any
    action: Any
    from_state: Any
    to_state: Any
    step_id: Any
    facts: Any
    texts_digest: Any
    previous_hash: Any


class Sealed(Link, Protocol):
    """With the hash that was written over it."""

    hash: Any


def texts_digest(salt: bytes, reason: str | None, text: str | None) -> bytes:
    """SHA-256 over salt and texts: survives the erasure of the texts, gives nothing away."""
    return hashlib.sha256(salt + orjson.dumps([reason, text])).digest()


def hashed(entry: Link) -> bytes:
    """What the hash covers: canonical JSON (sorted keys) of the facts and the previous hash."""
    facts = {
        "incident_id": str(entry.incident_id),
        "seq": entry.seq,
        "at": micros(entry.at),
        "actor_id": _text(entry.actor_id),
        "actor_name": entry.actor_name,
        "unit_id": _text(entry.unit_id),
        "action": str(entry.action),
        "from_state": _text(entry.from_state),
        "to_state": str(entry.to_state),
        "step_id": _text(entry.step_id),
        "facts": entry.facts,
        "texts_digest": entry.texts_digest.hex(),
        "previous_hash": entry.previous_hash.hex(),
    }
    return orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)


def entry_hash(entry: Link) -> bytes:
    """SHA-256 over what is hashed of it."""
    return hashlib.sha256(hashed(entry)).digest()


def first_break(entries: Iterable[Sealed]) -> int | None:
    """The seq at which a chain in order of seq breaks, or None when it verifies."""
    previous, expected = GENESIS, 1
    for entry in entries:
        sound = entry.seq == expected and entry.previous_hash == previous
        if not sound or entry.hash != entry_hash(entry):
            return expected
        previous, expected = entry.hash, expected + 1
    return None


def _text(value: UUID | str | None) -> str | None:
    return None if value is None else str(value)
