"""Callbacks on the wire."""

from datetime import datetime
from ipaddress import ip_network
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.core.fields import Command, Count, View

WEBHOOK_ID = r"^[!-.0-~]{1,200}$"
"""Visible ASCII without a slash: it stands in a path."""
_MOST_ADDRESSES = 2**16
_TAKEN = {
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
    "x-forwarded-for",
    "x-request-id",
}


def _narrow(said: str) -> str:
    """A network of at most 65,536 addresses: a platform's own, not everybody's."""
    try:
        network = ip_network(said)
    except ValueError as broken:
        raise PydanticCustomError(
            "no_network", "This is no network in CIDR", {"zh": "不是有效的 CIDR 网段"}
        ) from broken
    if network.num_addresses > _MOST_ADDRESSES:
        raise PydanticCustomError(
            "network_too_wide",
            "A platform calls from a network of at most 65536 addresses",
            {"zh": "网段不得超过 65536 个地址"},
        )
    return str(network)


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


Cidr = Annotated[
    str,
    StringConstraints(max_length=64, pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"),
    AfterValidator(_narrow),
]
Header = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,63}$", max_length=64)]


class NewAdapter(Command):
    """Names of headers in lower case, as that platform calls them."""

    networks: Annotated[list[Cidr], Field(min_length=1, max_length=20)]
    """Where it calls from, in CIDR."""
    token_header: Header = "x-callback-token"  # noqa: S105 - the name of a header
    timestamp_header: Header = "x-callback-timestamp"
    nonce_header: Header = "x-callback-nonce"

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names = {self.token_header, self.timestamp_header, self.nonce_header}
        if len(names) < 3 or names & _TAKEN:  # noqa: PLR2004 - three of them
            raise PydanticCustomError(
                "header_taken",
                "Three different headers, none of those that HTTP or Standard Webhooks use",
                {"zh": "须为三个不同的请求头，且不得占用 HTTP 或 Standard Webhooks 的请求头"},
            )
        return self


class AdapterView(View):
    platform_id: UUID
    networks: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=20)]
    token_header: Annotated[str, Field(max_length=64)]
    timestamp_header: Annotated[str, Field(max_length=64)]
    nonce_header: Annotated[str, Field(max_length=64)]
    token: Annotated[str, Field(max_length=128)]
    """Shown this once; the one before ends at once."""


class CallbackSecretView(View):
    platform_id: UUID
    secret: Annotated[str, Field(max_length=128)]
    """`whsec_…`, shown this once. The former one is valid for another 24 hours."""
