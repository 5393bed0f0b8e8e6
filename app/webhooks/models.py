from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Model, new_id


class Endpoint(Model):
    """Where a platform wants to be told. Secrets are sealed; the last one signs on for a day."""

    __tablename__ = "webhook_endpoints"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    url: Mapped[str]
    description: Mapped[str]
    types: Mapped[list[Any]] = mapped_column(JSONB)
    area_codes: Mapped[list[Any]] = mapped_column(JSONB)
    ordered: Mapped[bool]
    state: Mapped[str] = mapped_column(server_default=sql("'pending'"))
    disabled_reason: Mapped[str | None]
    """gone (410), failing (five days), or null."""
    secret: Mapped[str]
    former_secret: Mapped[str | None]
    former_until: Mapped[datetime | None]
    owner_area: Mapped[str]
    """The area of the unit for which it was made: who sees and manages it."""
    created_by: Mapped[UUID]
    created_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]
    """When it first answered a ping: from then on events are queued for it, whatever its state."""
    failures: Mapped[int] = mapped_column(server_default=sql("0"))
    """Failed attempts in a row."""
    failing_since: Mapped[datetime | None]
    open_until: Mapped[datetime | None]
    """The breaker: nothing is sent before, then one delivery tries."""
    revision: Mapped[int] = mapped_column(server_default=sql("1"))
    """Grows with what people or platforms decide about it, not with every failed attempt."""

    __table_args__ = (
        CheckConstraint("state IN ('pending', 'active', 'paused', 'disabled')", name="state"),
        Index("ix_webhook_endpoints_owner_area", "owner_area"),
    )


class Delivery(Model):
    """One event for one endpoint. Its id is the `webhook-id` of every attempt and replay."""

    __tablename__ = "deliveries"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    endpoint_id: Mapped[UUID] = mapped_column(
        ForeignKey("webhook_endpoints.id", ondelete="CASCADE")
    )
    event_id: Mapped[int | None]
    """Null for a ping."""
    subject_id: Mapped[UUID | None]
    """The incident."""
    type: Mapped[str]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    """Written once: what is signed is what is sent, on every attempt."""
    state: Mapped[str] = mapped_column(server_default=sql("'queued'"))
    attempts: Mapped[int] = mapped_column(server_default=sql("0"))
    tries: Mapped[int] = mapped_column(server_default=sql("0"))
    """Attempts since it was queued or replayed: its place on the ladder."""
    next_attempt_at: Mapped[datetime | None]
    """While sending: when its lease is over and it may be claimed again."""
    created_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("state IN ('queued', 'sending', 'delivered', 'dead')", name="state"),
        UniqueConstraint("event_id", "endpoint_id"),
        Index(
            "ix_deliveries_due",
            "endpoint_id",
            "next_attempt_at",
            postgresql_where="state IN ('queued', 'sending')",
        ),
        Index(
            "ix_deliveries_order",
            "endpoint_id",
            "subject_id",
            "event_id",
            postgresql_where="state IN ('queued', 'sending')",
        ),
        Index("ix_deliveries_listed", "endpoint_id", "created_at", "id"),
        Index("ix_deliveries_created_at", "created_at"),
    )


class Attempt(Model):
    """One call, written down before it is made."""

    __tablename__ = "delivery_attempts"

    delivery_id: Mapped[UUID] = mapped_column(
        ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    status: Mapped[int | None]
    latency_ms: Mapped[int | None]
    error: Mapped[str | None]
    response: Mapped[str | None]


class CallbackSecret(Model):
    """What a platform signs its callbacks with; sealed as an endpoint's."""

    __tablename__ = "callback_secrets"

    platform_id: Mapped[UUID] = mapped_column(
        ForeignKey("platforms.id", ondelete="CASCADE"), primary_key=True
    )
    secret: Mapped[str]
    former_secret: Mapped[str | None]
    former_until: Mapped[datetime | None]
    changed_at: Mapped[datetime]


class CallbackAdapter(Model):
    """How a platform that cannot sign is believed: a token, where it calls from, when, once (W17).

    There is none unless an administrator has made it.
    """

    __tablename__ = "callback_adapters"

    platform_id: Mapped[UUID] = mapped_column(
        ForeignKey("platforms.id", ondelete="CASCADE"), primary_key=True
    )
    token_digest: Mapped[bytes] = mapped_column(LargeBinary)
    networks: Mapped[list[Any]] = mapped_column(JSONB)
    """CIDR, of the addresses it calls from."""
    token_header: Mapped[str]
    timestamp_header: Mapped[str]
    nonce_header: Mapped[str]
    changed_at: Mapped[datetime]


class Callback(Model):
    """What a platform sent back, kept as it came until it is settled."""

    __tablename__ = "callbacks"

    platform_id: Mapped[UUID] = mapped_column(
        ForeignKey("platforms.id", ondelete="CASCADE"), primary_key=True
    )
    webhook_id: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(server_default=sql("'due'"))
    code: Mapped[str | None]
    """Why it was refused, ignored or parked."""
    detail: Mapped[str | None]
    reference: Mapped[str | None]
    """The incident's id or number, as the platform wrote it."""
    incident_id: Mapped[UUID | None]
    """Once the platform's unit has it."""
    sequence: Mapped[int | None]
    held_since: Mapped[datetime | None]
    """When it was first made to wait for an earlier one."""
    attempts: Mapped[int] = mapped_column(server_default=sql("0"))
    failures: Mapped[int] = mapped_column(server_default=sql("0"))
    """Attempts that ended in an error of ours."""
    next_attempt_at: Mapped[datetime | None]
    """Null: it is settled."""
    applied_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(
            "state IN ('due', 'applied', 'refused', 'parked', 'ignored')", name="state"
        ),
        Index(
            "ix_callbacks_due",
            "platform_id",
            "next_attempt_at",
            postgresql_where="next_attempt_at IS NOT NULL",
        ),
        Index("ix_callbacks_incident", "platform_id", "incident_id", "sequence"),
        Index("ix_callbacks_listed", "platform_id", "received_at", "webhook_id"),
    )
