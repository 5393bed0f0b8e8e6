"""The audit trail's hash chain: each entry's hash covers its facts and the hash before (pure)."""

import hashlib
from collections.abc import Iterable
from typing import Any, Protocol

import orjson

from app.core.clock import micros

GENESIS = bytes(32)


class Noted(Protocol):
    """What of an entry the chain covers."""

    id: Any
    at: Any
    actor_id: Any
    action: Any
    object_kind: Any
    object_id: Any
    facts: Any


class SealedNote(Noted, Protocol):
    """With its place in the chain and the hash that was written over it."""

    chain_seq: Any
    hash: Any


def note_hash(entry: Noted, chain_seq: int, previous: bytes) -> bytes:
    """SHA-256 over canonical JSON (sorted keys) of the facts, the place and the hash before."""
    facts = {
        "id": entry.id,
        "chain_seq": chain_seq,
        "at": micros(entry.at),
        "actor_id": None if entry.actor_id is None else str(entry.actor_id),
        "action": entry.action,
        "object_kind": entry.object_kind,
        "object_id": entry.object_id,
        "facts": entry.facts,
        "previous_hash": previous.hex(),
    }
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).digest()


def first_break(
    entries: Iterable[SealedNote], after: int = 0, previous: bytes = GENESIS
) -> int | None:
    """The place at which entries in order of the chain break it, or None.

    They follow the entry at place `after`, whose hash is `previous`.
    """
    expected = after + 1
    for entry in entries:
        sound = entry.chain_seq == expected
        if not sound or entry.hash != note_hash(entry, expected, previous):
            return expected
        previous, expected = entry.hash, expected + 1
    return None
