"""Appending to the history: the only way an entry comes to be."""

import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import SimpleNamespace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller
from app.core.db import Json
from app.core.resources import KEYS
from app.incidents.chain import GENESIS, SALT_BYTES, entry_hash, texts_digest
from app.incidents.models import HistoryEntry, Incident
from app.incidents.secrecy import own_keys, sealed_words

SYSTEM_NAME = "系统"


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened, before it has its place in the chain."""

    action: str
    from_state: str | None
    to_state: str
    step_id: UUID | None = None
    actor: Caller | None = None
    """None: the system."""
    unit_id: UUID | None = None
    """The unit for which the actor acted."""
    reason: str | None = None
    text: str | None = None
    facts: Json = field(default_factory=dict)


def first_entry(incident_id: UUID, entry: Entry, at: datetime) -> Json:
    """The columns of the entry that begins a chain (intake writes it in its one statement)."""
    return _linked(incident_id, 1, GENESIS, entry, at)


def append(session: AsyncSession, incident: Incident, entry: Entry, at: datetime) -> HistoryEntry:
    """The next entry of a locked incident; moves its head."""
    own = own_keys(session.info[KEYS], incident) if incident.own_key else None
    entry = replace(
        entry, reason=sealed_words(own, entry.reason), text=sealed_words(own, entry.text)
    )
    columns = _linked(incident.id, incident.history_seq + 1, incident.history_head, entry, at)
    row = HistoryEntry(**columns)
    incident.history_seq = row.seq
    incident.history_head = row.hash
    session.add(row)
    return row


def _linked(incident_id: UUID, seq: int, previous: bytes, entry: Entry, at: datetime) -> Json:
    salt = secrets.token_bytes(SALT_BYTES)
    link = SimpleNamespace(
        incident_id=incident_id,
        seq=seq,
        at=at,
        actor_id=entry.actor.id if entry.actor else None,
        actor_name=entry.actor.name if entry.actor else SYSTEM_NAME,
        unit_id=entry.unit_id,
        action=str(entry.action),
        from_state=None if entry.from_state is None else str(entry.from_state),
        to_state=str(entry.to_state),
        step_id=entry.step_id,
        facts=entry.facts,
        reason=entry.reason,
        text=entry.text,
        salt=salt,
        texts_digest=texts_digest(salt, entry.reason, entry.text),
        previous_hash=previous,
    )
    return {**vars(link), "hash": entry_hash(link)}
