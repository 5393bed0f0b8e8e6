"""Similar matters and clusters on the wire."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.core.fields import Code, Command, Count, Instant, Line, Prose, Sha256, View
from app.incidents.schemas import MAX_FILES, Place

Share = Annotated[float, Field(ge=0, le=1)]


class SimilarQuery(Command):
    """What is about to be reported."""

    category: Code
    text: Prose | None = None
    place: Place | None = None
    captured_at: Instant | None = None
    """When it was written down; a report from the outbox may be hours old."""
    pictures: list[Sha256] = Field(default=[], max_length=MAX_FILES)


class ReasonView(View):
    kind: str = Field(max_length=40)
    value: Annotated[float, Field(ge=0, le=1e6)] | None
    """Of `near` metres, of `same_time` hours, of `similar_text` the share in common."""
    words: list[Annotated[str, Field(max_length=40)]] = Field(max_length=20)


class SimilarView(View):
    incident_id: UUID
    number: str = Field(max_length=64)
    state: str = Field(max_length=20)
    category: str = Field(max_length=64)
    text: str = Field(max_length=200)
    """Its beginning."""
    received_at: datetime
    score: Share
    reasons: list[ReasonView] = Field(max_length=10)


class ClusterLinkView(View):
    id: UUID
    earlier_id: UUID
    later_id: UUID
    score: Share
    reasons: list[ReasonView] = Field(max_length=10)
    found_at: datetime
    dismissed_at: datetime | None


class ClusterMatter(View):
    incident_id: UUID
    number: str = Field(max_length=64)
    state: str = Field(max_length=20)
    area_code: str = Field(max_length=64)
    received_at: datetime


class ClusterView(View):
    """Matters that links hold together; take a link away and it may fall apart."""

    id: UUID
    """Of its oldest matter."""
    category: str = Field(max_length=64)
    first_at: datetime
    last_at: datetime
    size: Count
    words: list[Annotated[str, Field(max_length=40)]] = Field(max_length=50)
    matters: list[ClusterMatter] = Field(max_length=200)
    links: list[ClusterLinkView] = Field(max_length=500)


class Dismissal(Command):
    reason: Line
