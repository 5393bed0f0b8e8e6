"""Callbacks on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.core.fields import Count, View
from app.webhooks.callbacks import WEBHOOK_ID

CallbackState = Literal["due", "applied", "refused", "parked", "ignored"]
WebhookId = Annotated[str, StringConstraints(max_length=200, pattern=WEBHOOK_ID)]


class CallbackReceipt(View):
    webhook_id: Annotated[str, Field(max_length=200)]
    state: CallbackState


class CallbackView(CallbackReceipt):
    """`code` says why: a problem's code, `earlier-missing` while it is parked, or `stale`."""

    code: Annotated[str | None, StringConstraints(max_length=100)]
    detail: Annotated[str | None, StringConstraints(max_length=2000)]
    incident_id: UUID | None
    sequence: Count | None
    attempts: Count
    received_at: datetime
    next_attempt_at: datetime | None
    applied_at: datetime | None


class CallbackSecretView(View):
    platform_id: UUID
    secret: Annotated[str, Field(max_length=128)]
    """`whsec_…`, shown this once. The former one is valid for another 24 hours."""
