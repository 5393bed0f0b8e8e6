"""What a client asks of a matter: one action of the table and what it needs."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from app.core.fields import Code, Command, Line, Prose
from app.incidents.schemas import MAX_FILES, ClientId
from app.incidents.status import Action

Level = Literal[
    "yellow",
    "red",
    "urgent",
    "critical",
    "township",
    "district",
    "city",
    "province",
    "nation",
]


class TransitionCommand(Command):
    action: Action
    revision: Annotated[int, Field(ge=1, le=2**31)] | None = None
    reason: Prose | None = None
    text: Prose | None = None
    outcome: Prose | None = None
    to_unit: Code | None = None
    score: Annotated[int, Field(ge=1, le=5)] | None = None
    days: Annotated[int, Field(ge=0, le=366)] | None = None
    """Asked for or granted; granting none refuses."""
    into: Code | None = None
    """Another incident by its id or number: merged into, related to."""
    review_on: date | None = None
    external_body: Line | None = None
    receipt_number: Line | None = None
    document_number: Line | None = None
    leading_official: Line | None = None
    due_on: date | None = None
    level: Level | None = None
    """A card, an urgency, or the level that assigned it from above."""
    attachments: list[ClientId] = Field(default=[], max_length=MAX_FILES)
