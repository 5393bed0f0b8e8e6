"""What is asked and shown when something that is told to few is opened."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from app.core.fields import Command, Line, Prose, View


class OpeningReason(Command):
    """Why it has to be read: shown to those responsible for the matter."""

    reason: Prose


class BrokenGlass(OpeningReason):
    number: Line
    """The matter's, from somebody who knows of it."""


class ClearedPeople(Command):
    people: list[UUID] = Field(max_length=50)


class OpeningPerson(View):
    id: UUID
    name: str = Field(max_length=200)


class OpeningView(View):
    id: UUID
    incident_id: UUID
    kind: Literal["content", "people", "glass"]
    person: OpeningPerson
    reason: str = Field(max_length=5000)
    at: datetime
    until: datetime
    """So long the content is shown to this person."""


class ClearanceView(View):
    person_id: UUID
    broke_glass: bool
    granted_by: UUID
    granted_at: datetime


class ClearPerson(View):
    role: str | None = Field(max_length=200)
    name: str = Field(max_length=200)
    phone: Annotated[str, Field(max_length=40)] | None


class PeopleView(View):
    """In clear; the raiser only for those who may know who reported."""

    raiser: ClearPerson | None
    parties: list[ClearPerson] = Field(max_length=20)
