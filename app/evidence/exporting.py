"""Exporting: one matter's history, files and proofs, so that anybody can verify them.

What is hashed is given byte by byte, as text: whoever verifies need not write JSON as we do.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import audit
from app.evidence.merkle import BLOCK, leaf_hash, path
from app.evidence.models import Anchor, AnchoredLeaf
from app.evidence.queries import block_of, leaves_of, whole_history
from app.evidence.schemas import (
    AnchorView,
    Evidence,
    EvidenceEntry,
    EvidenceFile,
    ProofView,
    TextsView,
)
from app.evidence.writing import GENESIS, anchor_text, leaf_text, object_key
from app.incidents.attachments import Looking
from app.incidents.chain import hashed, texts_digest
from app.incidents.models import HistoryEntry, Incident, IncidentMedia
from app.incidents.queries import attachments_of
from app.incidents.secrecy import opened_words
from app.incidents.views import show_history
from app.media.models import MediaFile

FORMAT = "etong-evidence/1"

Sight = Callable[[HistoryEntry], tuple[bool, bool]]
"""Of an entry: whether its facts may be read, and its words."""
Proofs = Mapping[UUID | None, ProofView]
"""By attachment; under None the history's."""


async def evidence_for(session: AsyncSession, incident: Incident, looking: Looking) -> Evidence:
    """What this reader may see of it; what the history hides, the evidence withholds."""
    entries = await whole_history(session, incident.id)
    shown = {view.seq: view for view in await show_history(session, incident, entries, looking)}

    def sight(entry: HistoryEntry) -> tuple[bool, bool]:
        view = shown.get(entry.seq)
        if view is None:
            return False, False
        actor = (view.actor.id, view.actor.name) == (entry.actor_id, entry.actor_name)
        words = (view.reason, view.text) == opened_words(looking.keys, incident, entry)
        return actor and view.facts == entry.facts, words

    await _note(session, incident, looking.caller.id, looking.now)
    return await _export(session, incident, entries, sight, looking.now)


async def evidence_for_operator(
    session: AsyncSession, incident: Incident, now: datetime
) -> Evidence:
    """For the machine's operator; of a sealed matter neither words nor who reported it."""

    def sight(entry: HistoryEntry) -> tuple[bool, bool]:
        own = entry.actor_id in (incident.reporter_id, incident.entered_by)
        return not (incident.sealed and own), not incident.sealed

    await _note(session, incident, None, now)
    entries = await whole_history(session, incident.id)
    return await _export(session, incident, entries, sight, now)


async def _note(
    session: AsyncSession, incident: Incident, actor_id: UUID | None, at: datetime
) -> None:
    await audit.note(
        session,
        at=at,
        actor_id=actor_id,
        action="evidence.exported",
        target=("incident", incident.id),
        seq=incident.history_seq,
    )


async def _export(
    session: AsyncSession,
    incident: Incident,
    entries: Sequence[HistoryEntry],
    sight: Sight,
    now: datetime,
) -> Evidence:
    leaves = await leaves_of(session, incident.id)
    anchors = await _anchors(session, leaves)
    # of the heads the newest, of each file the only one
    newest = {leaf.attachment_id: leaf for leaf in leaves}
    proofs = {
        attachment_id: await _proof(session, leaf, anchors[leaf.anchor_seq])
        for attachment_id, leaf in newest.items()
    }
    used = {proof.anchor for proof in proofs.values()}
    return Evidence(
        format=FORMAT,
        incident_id=incident.id,
        number=incident.number,
        exported_at=now,
        entries=[_entry(entry, *sight(entry)) for entry in entries],
        proof=proofs.get(None),
        files=[
            _file(each.link, each.file, proofs)
            for each in await attachments_of(session, [incident.id])
        ],
        anchors=[_anchor(anchors[seq]) for seq in sorted(used)],
    )


def _entry(
    entry: HistoryEntry,
    open_: bool,  # noqa: FBT001 - facts about the viewer
    words: bool,  # noqa: FBT001
) -> EvidenceEntry:
    there = texts_digest(entry.salt, entry.reason, entry.text) == entry.texts_digest
    erased = not there and entry.reason is None and entry.text is None
    return EvidenceEntry(
        seq=entry.seq,
        hash=entry.hash.hex(),
        previous_hash=entry.previous_hash.hex(),
        # without the digest of its texts nobody can find out by trying whom it names
        hashed=hashed(entry).decode() if open_ else None,
        # without its salt nobody can find out by trying what was erased
        texts=_texts(entry) if open_ and words and not erased else None,
        erased=erased,
    )


def _texts(entry: HistoryEntry) -> TextsView:
    return TextsView(salt=entry.salt.hex(), reason=entry.reason, text=entry.text)


def _file(link: IncidentMedia, file: MediaFile | None, proofs: Proofs) -> EvidenceFile:
    digest = file.sha256 if file else link.sha256
    return EvidenceFile(
        id=link.attachment_id,
        name=link.name,
        size=file.size if file else link.size,
        sha256=digest.hex() if digest else None,
        proof=proofs.get(link.attachment_id),
    )


def _anchor(anchor: Anchor) -> AnchorView:
    return AnchorView(
        seq=anchor.seq,
        digest=anchor.digest.hex(),
        hashed=anchor_text(anchor),
        copy_key=object_key(anchor.night),
    )


async def _anchors(session: AsyncSession, leaves: Sequence[AnchoredLeaf]) -> dict[int, Anchor]:
    wanted = {leaf.anchor_seq for leaf in leaves}
    rows = await session.scalars(select(Anchor).where(Anchor.seq.in_(wanted)))
    return {row.seq: row for row in rows}


async def _proof(session: AsyncSession, leaf: AnchoredLeaf, anchor: Anchor) -> ProofView:
    """From one block's leaves and the blocks' roots, however many leaves there are."""
    block, inside = divmod(leaf.place, BLOCK)
    near = await block_of(session, anchor.seq, block)
    size, kept = len(GENESIS), anchor.blocks
    roots = [kept[at : at + size] for at in range(0, len(kept), size)]
    below = path([leaf_hash(leaf_text(each).encode()) for each in near], inside)
    return ProofView(
        anchor=anchor.seq,
        leaf=leaf_text(leaf),
        place=leaf.place,
        path=[each.hex() for each in [*below, *path(roots, block)]],
    )
