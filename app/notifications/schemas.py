from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.core.fields import Command, Count, View


class NoticeView(View):
    """Of an endpoint that was disabled there is no matter: `incident_id` null, `number` empty."""

    seq: Count
    type: str = Field(max_length=64)
    incident_id: UUID | None
    number: str = Field(max_length=64)
    state: str = Field(max_length=20)
    title: str = Field(max_length=200)
    body: str = Field(max_length=6000)
    at: datetime
    acked_at: datetime | None


class InboxPage(View):
    items: list[NoticeView] = Field(max_length=200)
    next: str | None = Field(max_length=20)
    """The number to ask `after` next; null when nothing newer is there now."""
    head_seq: Count
    acked_seq: Count


class AckCommand(Command):
    up_to: Annotated[int, Field(ge=0, le=2**53)]
    raisers_informed: list[UUID] = Field(default_factory=list, max_length=50)
    """Own reports whose raiser was told what came of them (已回告)."""


class AckView(View):
    acked_seq: Count
    raisers_informed: list[UUID] = Field(default_factory=list, max_length=50)
    """Those of the reports named that are ticked now."""


class TellingUnit(View):
    id: UUID
    code: str = Field(max_length=64)
    name: str = Field(max_length=200)
    level: str = Field(max_length=20)


class ToldPerson(View):
    """`id` and `unit` are null, and `name` is empty, where the reporter's identity is hidden."""

    id: UUID | None
    name: str = Field(max_length=200)
    unit: TellingUnit | None


class NoticeStateView(View):
    """One notice of a matter, and how far it got.

    Of a hidden reporter neither number nor times are shown: they would match those of another
    matter that names its reporter.
    """

    person: ToldPerson
    seq: Count | None
    type: str = Field(max_length=64)
    state: str = Field(max_length=20, json_schema_extra={"x-extensible-enum": True})
    """queued, nudged, delivered, acked"""
    at: datetime
    nudged_at: datetime | None
    delivered_at: datetime | None
    acked_at: datetime | None
