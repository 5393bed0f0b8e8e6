"""The messages we send, as the OpenAPI document's `webhooks` lists them (W18)."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from app.webhooks.payloads import (
    DISABLED,
    INCIDENT_TYPES,
    PING,
    REFUSED,
    EndpointMessage,
    IncidentMessage,
    RefusalMessage,
)
from app.webhooks.samples import SAMPLES

_WORDS = {
    "incident.reported": "A matter was reported; a duty desk owns it until it is routed.",
    "incident.step_opened": "A unit has to act now: routed, escalated, handed down or dispatched.",
    "incident.state_changed": "A transition was made; `action` names it.",
    "incident.attachment_stored": "A late file has arrived and was verified.",
    "incident.commented": "Somebody involved left a remark (its words are not sent).",
    "incident.rated": "The reporter rated the outcome.",
    "incident.overdue": "The time of the present state is over; `stage` names it.",
    "incident.supervised": "A yellow or red card was drawn, by somebody or by the clock.",
    "incident.merged": "It has become a part of `merged_into` and follows it.",
    PING: "Are you there? Any 2xx answer activates the endpoint.",
    REFUSED: "A callback was not applied and will not be; `code` is the problem's.",
    DISABLED: "An endpoint of the area was disabled: it said 410, or failed for five days.",
}
_SIGNED = "Signed as Standard Webhooks 1.0.0; samples of receivers stand in docs/webhooks."


def describe_webhooks(app: FastAPI) -> None:
    """Called once by main; nothing is mounted."""
    for name in (*INCIDENT_TYPES, REFUSED, PING, DISABLED):
        receive = _RECEIVERS.get(name, _receive_incident)
        app.webhooks.add_api_route(
            name,
            receive,
            methods=["POST"],
            operation_id="receive_" + name.replace(".", "_"),
            status_code=204,
            summary=name,
            description=f"{_WORDS[name]} {_SIGNED}",
            tags=["webhooks"],
            openapi_extra=_example(SAMPLES[name].model_dump(mode="json")),
        )


def _example(message: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"example": message}}}}


def _receive_incident(message: IncidentMessage) -> None:
    """Described, never called: the platform implements it."""


def _receive_endpoint(message: EndpointMessage) -> None:
    """Described, never called: the platform implements it."""


def _receive_refusal(message: RefusalMessage) -> None:
    """Described, never called: the platform implements it."""


_RECEIVERS: dict[str, Callable[..., None]] = {
    REFUSED: _receive_refusal,
    PING: _receive_endpoint,
    DISABLED: _receive_endpoint,
}
