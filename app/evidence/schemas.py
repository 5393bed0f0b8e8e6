from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.core.fields import Count, Sha256, View

Hex = Field(pattern=r"^[0-9a-f]{64}$", min_length=64, max_length=64)
"""32 bytes."""
NIGHTS_MOST = 10_000
ENTRIES_MOST = 100_000
FILES_MOST = 1_000


class ProofView(View):
    """That a leaf stands in an anchor's tree (RFC 6962): its place, and its neighbours upwards."""

    anchor: Count
    leaf: str = Field(max_length=300)
    place: Count
    path: list[Sha256] = Field(max_length=64)


class AnchorView(View):
    """One night's digest: SHA-256 of `hashed`, which names the tree's root and leaves."""

    seq: Count
    digest: str = Hex
    hashed: str = Field(max_length=1000)
    copy_key: str = Field(max_length=100)
    """Where the digest was written outside the database."""


class TextsView(View):
    """Words as they were hashed: SHA-256 over the salt and the JSON of `[reason, text]`."""

    salt: str = Field(max_length=64)
    reason: str | None = Field(max_length=5000)
    text: str | None = Field(max_length=5000)


class EvidenceEntry(View):
    seq: Count
    hash: str = Hex
    previous_hash: str = Hex
    hashed: str | None = Field(max_length=100_000)
    """Exactly what `hash` is the SHA-256 of; null where the reader may not know who acted."""
    texts: TextsView | None
    """Null where they were erased or the reader may not read them: their digest stays."""
    erased: bool


class EvidenceFile(View):
    id: UUID
    name: str = Field(max_length=255)
    size: Count | None
    sha256: str | None = Field(max_length=64)
    proof: ProofView | None
    """Null until the night after the file was stored."""


class Evidence(View):
    """All there is to prove a matter with; `docs/evidence/verify.py` verifies it alone."""

    format: str = Field(max_length=40)
    incident_id: UUID
    number: str = Field(max_length=64)
    exported_at: datetime
    entries: list[EvidenceEntry] = Field(max_length=ENTRIES_MOST)
    proof: ProofView | None
    """That the newest anchored entry stood there that night; null until the first night."""
    files: list[EvidenceFile] = Field(max_length=FILES_MOST)
    anchors: list[AnchorView] = Field(max_length=NIGHTS_MOST)
    """Those that the proofs lead to."""
