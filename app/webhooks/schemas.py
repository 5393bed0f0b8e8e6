"""Endpoints and deliveries on the wire."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.core.fields import Code, Command, Count, Instant, View
from app.webhooks.payloads import TYPES

EndpointState = Literal["pending", "active", "paused", "disabled"]
DeliveryState = Literal["queued", "sending", "delivered", "dead"]
_WILDCARDS = {"*"} | {name.partition(".")[0] + ".*" for name in TYPES}


def _known_type(name: str) -> str:
    if name not in _WILDCARDS and name not in TYPES:
        raise PydanticCustomError("unknown_event_type", "There is no event of this type")
    return name


EventType = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_type)]
Url = Annotated[str, StringConstraints(min_length=8, max_length=2000, strip_whitespace=True)]
Description = Annotated[str, StringConstraints(max_length=500, strip_whitespace=True)]
Types = Annotated[list[EventType], Field(min_length=1, max_length=50)]
Areas = Annotated[list[Code], Field(min_length=1, max_length=100)]


class NewEndpoint(Command):
    url: Url
    types: Types = Field(default_factory=lambda: ["*"])
    area_codes: Areas
    ordered: bool = False
    """Send the events of one incident strictly one after the other."""
    description: Description = ""


class ChangedEndpoint(Command):
    """What is left out stays. A new URL is pinged before anything is sent to it."""

    url: Url | None = None
    types: Types | None = None
    area_codes: Areas | None = None
    ordered: bool | None = None
    description: Description | None = None


class EndpointView(View):
    id: UUID
    url: Annotated[str, StringConstraints(max_length=2000)]
    description: Description
    types: Annotated[list[Annotated[str, StringConstraints(max_length=64)]], Field(max_length=50)]
    area_codes: Annotated[list[Code], Field(max_length=100)]
    ordered: bool
    state: EndpointState
    disabled_reason: Annotated[str | None, StringConstraints(max_length=64)]
    failures: Count
    failing_since: datetime | None
    created_at: datetime
    revision: Count
    """Its ETag: grows with what is decided about the endpoint, not with every failed attempt."""


class EndpointWithSecret(EndpointView):
    secret: Annotated[str, StringConstraints(max_length=200)]
    """Shown this once."""


class AttemptView(View):
    number: Count
    at: datetime
    status: Count | None
    latency_ms: Count | None
    error: Annotated[str | None, StringConstraints(max_length=200)]
    response: Annotated[str | None, StringConstraints(max_length=5000)]


class DeliveryView(View):
    """`id` is the `webhook-id` the platform sees."""

    id: UUID
    event_id: Count | None
    incident_id: UUID | None
    type: Annotated[str, StringConstraints(max_length=64)]
    state: DeliveryState
    attempts: Annotated[list[AttemptView], Field(max_length=1000)]
    next_attempt_at: datetime | None
    created_at: datetime
    delivered_at: datetime | None


class ReplayCommand(Command):
    """One delivery, or all that failed since a time, or everything of a span of time."""

    delivery_id: UUID | None = None
    failed_since: Instant | None = None
    from_: Annotated[Instant | None, Field(alias="from")] = None
    to: Instant | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        span = self.from_ is not None or self.to is not None
        ways = [self.delivery_id is not None, self.failed_since is not None, span]
        if sum(ways) != 1 or (span and (self.from_ is None or self.to is None)):
            raise PydanticCustomError(
                "one_way_to_replay", "Name delivery_id, or failed_since, or from and to"
            )
        return self


class Replayed(View):
    replayed: Count
