"""What a platform is told: one shape for every event of an incident (pure, only ever added to).

No media and no words of people; of a sealed matter ids and state, nothing else.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol
from uuid import UUID

import orjson
from pydantic import StringConstraints

from app.core.fields import Count, View
from app.incidents.events import IncidentEvent

PING = "webhook.ping"
DISABLED = "endpoint.disabled"
REFUSED = "callback.refused"
INCIDENT_TYPES = (
    "incident.reported",
    "incident.step_opened",
    "incident.state_changed",
    "incident.attachment_stored",
    "incident.commented",
    "incident.rated",
    "incident.overdue",
    "incident.supervised",
    "incident.merged",
)
TYPES = (*INCIDENT_TYPES, REFUSED, DISABLED, PING)

Name = Annotated[str, StringConstraints(max_length=200)]
Text = Annotated[str, StringConstraints(max_length=2000)]
_OUTCOME = 2000


class AreaFact(View):
    code: Name
    name: Name


class UnitFact(View):
    id: UUID
    code: Name
    name: Name


class Links(View):
    incident: Annotated[str, StringConstraints(max_length=2000)]


class IncidentFacts(View):
    """`sequence` counts an incident's events from 1: a receiver drops what is older than known."""

    incident_id: UUID
    number: Name
    revision: Count
    sequence: Count
    state: Name
    sealed: bool = False
    category: Name | None = None
    urgency: Name | None = None
    area: AreaFact | None = None
    unit: UnitFact | None = None
    outcome: Text | None = None
    action: Name | None = None
    """The transition, for `incident.state_changed` and `incident.step_opened`."""
    stage: Name | None = None
    """Of `incident.overdue`: accept, dispatch, handle, verify, or assignment (from above)."""
    level: Name | None = None
    """Of `incident.supervised`: yellow or red."""
    merged_into: UUID | None = None
    """Of `incident.merged`."""
    links: Links


class IncidentMessage(View):
    type: Literal[
        "incident.reported",
        "incident.step_opened",
        "incident.state_changed",
        "incident.attachment_stored",
        "incident.commented",
        "incident.rated",
        "incident.overdue",
        "incident.supervised",
        "incident.merged",
    ]
    timestamp: datetime
    data: IncidentFacts


class EndpointFacts(View):
    endpoint_id: UUID
    reason: Name | None = None


class EndpointMessage(View):
    """`webhook.ping`: answer 2xx and the endpoint is active. `endpoint.disabled`: another one."""

    type: Literal["webhook.ping", "endpoint.disabled"]
    timestamp: datetime
    data: EndpointFacts


class RefusalFacts(View):
    """Which of a platform's callbacks was refused, and why."""

    platform: Name
    webhook_id: Name
    code: Name
    incident_id: UUID | None = None


class RefusalMessage(View):
    type: Literal["callback.refused"]
    timestamp: datetime
    data: RefusalFacts


def body_of(message: IncidentMessage | EndpointMessage | RefusalMessage) -> bytes:
    """The bytes that are signed and sent: UTF-8 JSON, Chinese as it is written."""
    return orjson.dumps(message.model_dump(mode="json"))


def shortened(outcome: str | None) -> str | None:
    return None if outcome is None else outcome[:_OUTCOME]


class Matter(Protocol):
    """What of an incident's row stands in a message."""

    id: Any
    number: Any
    revision: Any
    state: Any
    sealed: Any
    category: Any
    urgency: Any
    outcome: Any


def facts_of(
    event: IncidentEvent,
    matter: Matter,
    area: AreaFact,
    unit: UnitFact | None,
    *,
    sequence: int,
    public_url: str,
) -> IncidentFacts:
    """`state` is the one the event led to, the rest is as it stands when the message is made."""
    facts = IncidentFacts(
        incident_id=matter.id,
        number=matter.number,
        revision=matter.revision,
        sequence=sequence,
        state=getattr(event, "to_state", None) or getattr(event, "state", matter.state),
        sealed=matter.sealed,
        links=Links(incident=f"{public_url}/v1/incidents/{matter.id}"),
    )
    if matter.sealed:
        return facts
    return facts.model_copy(
        update={
            "category": matter.category,
            "urgency": matter.urgency,
            "area": area,
            "unit": unit,
            "outcome": shortened(matter.outcome),
            "action": getattr(event, "action", None),
            "stage": getattr(event, "stage", None),
            "level": getattr(event, "level", None),
            "merged_into": getattr(event, "into", None),
        }
    )


def wants(types: Sequence[str], name: str) -> bool:
    """`*` and `incident.*` are wildcards."""
    family = name.partition(".")[0] + ".*"
    return any(wanted in {"*", family, name} for wanted in types)
