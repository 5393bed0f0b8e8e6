"""How anchors and their leaves are written down, byte by byte (pure)."""

import hashlib
from datetime import UTC, date, datetime
from typing import Any, Protocol

import orjson

GENESIS = bytes(32)


class Leaf(Protocol):
    """A history's head where `seq` is given, else a file."""

    incident_id: Any
    seq: Any
    attachment_id: Any
    digest: Any


class AnchorFacts(Protocol):
    """What an anchor's digest covers."""

    seq: Any
    night: Any
    at: Any
    leaves: Any
    root: Any
    audit_seq: Any
    audit_head: Any
    previous: Any


def leaf_text(leaf: Leaf) -> str:
    """`history {incident} {seq} {hash}` or `file {incident} {attachment} {SHA-256}`."""
    kind, what = ("history", leaf.seq) if leaf.seq is not None else ("file", leaf.attachment_id)
    return f"{kind} {leaf.incident_id} {what} {leaf.digest.hex()}"


def anchor_text(anchor: AnchorFacts) -> str:
    """Canonical JSON (sorted keys)."""
    facts = {
        "seq": anchor.seq,
        "night": anchor.night.isoformat(),
        "at": _instant(anchor.at),
        "leaves": anchor.leaves,
        "root": anchor.root.hex(),
        "audit_seq": anchor.audit_seq,
        "audit_head": anchor.audit_head.hex(),
        "previous": anchor.previous.hex(),
    }
    return orjson.dumps(facts, option=orjson.OPT_SORT_KEYS).decode()


def anchor_digest(anchor: AnchorFacts) -> bytes:
    return hashlib.sha256(anchor_text(anchor).encode()).digest()


def object_key(night: date) -> str:
    return f"evidence/{night.isoformat()}.json"


def object_body(anchor: AnchorFacts, digest: bytes) -> bytes:
    """What leaves the database: the digest and what it was computed from."""
    return orjson.dumps({"digest": digest.hex(), "hashed": anchor_text(anchor)})


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
