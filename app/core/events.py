"""The outbox: an event is a row in the caller's transaction, nothing else (no job, no NOTIFY)."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Identity, Index, Row, func, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Json, Model


class Event(BaseModel):
    """Something that happened: frozen, past tense, ids plus facts. Fields are only ever added.

    Declared as `class IncidentReported(Event, name="incident.reported")`; the name is stored and
    never changes.
    """

    model_config = ConfigDict(frozen=True)
    name: ClassVar[str]
    registry: ClassVar[dict[str, type["Event"]]] = {}

    def __init_subclass__(cls, *, name: str | None = None) -> None:
        super().__init_subclass__()
        if name is None:  # an abstract family of events
            return
        if name in Event.registry:
            raise TypeError(f"event name {name!r} is taken")
        cls.name = name
        Event.registry[name] = cls

    @classmethod
    def __pydantic_init_subclass__(cls, **_: object) -> None:
        """Swallow the class keyword that `__init_subclass__` has read."""

    @property
    @abstractmethod
    def subject_id(self) -> UUID:
        """What the event is about: events of one subject are worked off in order."""


EventT_co = TypeVar("EventT_co", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Recorded(Generic[EventT_co]):
    """An event as it stands in the outbox; `id` is the key for de-duplication."""

    id: int
    at: datetime
    event: EventT_co


class OutboxRow(Model):
    __tablename__ = "domain_events"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str]
    subject_id: Mapped[UUID]
    payload: Mapped[Json]
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    processed_at: Mapped[datetime | None]
    traceparent: Mapped[str | None]

    __table_args__ = (
        Index("ix_domain_events_waiting", "id", postgresql_where="processed_at IS NULL"),
        Index("ix_domain_events_subject_id", "subject_id"),
    )


Waiting = Row[int, str, UUID, Json, datetime]
"""Of an event that waits for its reactions what they need, by the names of its columns."""
WAITING = (
    OutboxRow.id,
    OutboxRow.name,
    OutboxRow.subject_id,
    OutboxRow.payload,
    OutboxRow.occurred_at,
)


async def record(session: AsyncSession, *events: Event, at: datetime) -> None:
    """Write events into the outbox of this transaction; the relay works them off after commit."""
    await record_all(session, [(event, at) for event in events])


async def record_all(session: AsyncSession, events: Sequence[tuple[Event, datetime]]) -> None:
    """Write many events, each with its own time, in one statement."""
    if not events:
        return
    rows = [
        {
            "name": event.name,
            "subject_id": event.subject_id,
            "payload": event.model_dump(mode="json"),
            "occurred_at": at,
        }
        for event, at in events
    ]
    await session.execute(insert(OutboxRow).values(rows))


def parse(name: str, payload: Json) -> Event:
    """The event of a stored row. Raises KeyError for a name this version does not know."""
    return Event.registry[name].model_validate(payload)
