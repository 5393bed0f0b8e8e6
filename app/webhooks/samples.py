"""One message of each type, made of an event as every other is (pure)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.incidents.events import (
    AttachmentStored,
    IncidentCommented,
    IncidentEvent,
    IncidentMerged,
    IncidentOverdue,
    IncidentRated,
    IncidentReported,
    IncidentSupervised,
    StateChanged,
    StepOpened,
)
from app.webhooks.events import CallbackRefused, EndpointDisabled
from app.webhooks.payloads import (
    PING,
    AreaFact,
    EndpointFacts,
    EndpointMessage,
    IncidentMessage,
    RefusalFacts,
    RefusalMessage,
    UnitFact,
    facts_of,
)

_ID = UUID("0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a11")
_MASTER = UUID("0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a12")
_AT = datetime(2026, 3, 11, 4, tzinfo=UTC)
_AREA = AreaFact(code="620802105202001", name="永红第1网格")
_UNIT = UnitFact(id=_ID, code="620802105202", name="永红村综治中心")
_COMMON: dict[str, Any] = {
    "incident_id": _ID,
    "number": "620802105-20260311-0001",
    "reporter_id": _ID,
    "sealed": False,
}
_ACTED: dict[str, Any] = {**_COMMON, "unit_id": _ID, "state": "submitted", "history_seq": 3}


@dataclass(slots=True)
class _Matter:
    state: str
    id: UUID = _ID
    number: str = "620802105-20260311-0001"
    revision: int = 3
    sealed: bool = False
    category: str = "0201"
    urgency: str = "routine"
    outcome: str | None = None


def _incident_events() -> Iterable[IncidentEvent]:
    yield IncidentReported(
        **_COMMON, category="0201", urgency="routine", state="submitted", owner_unit_id=_ID
    )
    yield StepOpened(**_ACTED, step_id=_ID, action="route", urgency="routine")
    yield StateChanged(
        **_COMMON,
        action="accept",
        from_state="submitted",
        to_state="accepted",
        actor_id=_ID,
        unit_id=_ID,
        verifying_unit_id=_ID,
        step_opened=False,
        history_seq=3,
    )
    yield AttachmentStored(
        **_COMMON, attachment_id=_ID, unit_id=_ID, state="submitted", complete=True
    )
    yield IncidentCommented(**_ACTED, actor_id=_ID)
    yield IncidentRated(**_ACTED | {"state": "closed"}, score=5)
    yield IncidentOverdue(**_ACTED, stage="accept", carded=True)
    yield IncidentSupervised(**_ACTED, level="yellow", actor_id=None)
    yield IncidentMerged(
        **_ACTED | {"state": "merged"}, into=_MASTER, into_number=_COMMON["number"], actor_id=_ID
    )


def _sample(event: IncidentEvent, sequence: int) -> IncidentMessage:
    facts = facts_of(
        event,
        _Matter(getattr(event, "to_state", "submitted")),
        _AREA,
        _UNIT,
        sequence=sequence,
        public_url="https://etong.example",
    )
    return IncidentMessage(type=event.name, timestamp=_AT, data=facts)


def _others() -> Iterable[EndpointMessage | RefusalMessage]:
    disabled = EndpointDisabled(endpoint_id=_ID, area_code=_AREA.code, why="gone")
    told = EndpointFacts(endpoint_id=disabled.endpoint_id, reason=disabled.why)
    yield EndpointMessage(type="endpoint.disabled", timestamp=_AT, data=told)
    yield EndpointMessage(type=PING, timestamp=_AT, data=EndpointFacts(endpoint_id=_ID))
    refused = CallbackRefused(
        platform_id=_ID,
        platform="liuhu-platform",
        webhook_id="msg_2f9f6b1c0a11",
        code="action-not-allowed",
        incident_id=_ID,
        area_code=_AREA.code,
    )
    refusal = RefusalFacts.model_validate(refused)
    yield RefusalMessage(type="callback.refused", timestamp=_AT, data=refusal)


SAMPLES: Mapping[str, IncidentMessage | EndpointMessage | RefusalMessage] = {
    message.type: message
    for message in (
        *(_sample(event, place) for place, event in enumerate(_incident_events(), start=1)),
        *_others(),
    )
}
