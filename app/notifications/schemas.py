from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.core.fields import Command, Count, View


class NoticeView(View):
    seq: Count
    type: str = Field(max_length=64)
    incident_id: UUID
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


class AckView(View):
    acked_seq: Count
