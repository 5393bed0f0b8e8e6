from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Unit
from app.areas.locate import AreaMap, current_map
from app.core.db import Json, new_id, one_of
from app.core.events import OutboxRow, Recorded
from app.core.relay import Tick
from app.incidents.events import IncidentEvent
from app.incidents.models import Incident
from app.webhooks.events import DELIVERIES, CallbackRefused, EndpointDisabled
from app.webhooks.models import Endpoint
from app.webhooks.payloads import (
    AreaFact,
    EndpointFacts,
    EndpointMessage,
    IncidentFacts,
    IncidentMessage,
    RefusalFacts,
    RefusalMessage,
    UnitFact,
    body_of,
    facts_of,
    wants,
)


async def queue_deliveries(
    session: AsyncSession, events: Sequence[Recorded[Any]], tick: Tick
) -> None:
    """One delivery for each event and endpoint that wants it now; a second run adds none.

    One that moves to a new address misses nothing while it waits for that one's first answer.
    """
    known = or_(Endpoint.state != "pending", Endpoint.activated_at.is_not(None))
    endpoints = (await session.scalars(select(Endpoint).where(known))).all()
    if not endpoints:
        return
    areas = await current_map(tick.resources)
    asked = [e for e in events if any(wants(point.types, e.event.name) for point in endpoints)]
    background = await _background(session, asked, areas, tick.resources.settings.public_url)
    rows = [row for e in asked for row in _rows(e, endpoints, background, tick)]
    if rows:
        columns = {name: [row[name] for row in rows] for name in _COLUMNS}
        await session.execute(_QUEUE, columns)
        tick.subjects.add(DELIVERIES)


_COLUMNS = {
    "id": "uuid",
    "endpoint_id": "uuid",
    "event_id": "bigint",
    "subject_id": "uuid",
    "type": "text",
    "body": "bytea",
    "next_attempt_at": "timestamptz",
    "created_at": "timestamptz",
}
# one array a column: a statement with a parameter a value is compiled anew for every batch
_QUEUE = text(
    f"""
    INSERT INTO deliveries ({", ".join(_COLUMNS)})
    SELECT * FROM unnest({", ".join(f"CAST(:{n} AS {kind}[])" for n, kind in _COLUMNS.items())})
    ON CONFLICT DO NOTHING
    """  # noqa: S608 - constants of this module
)
_FACTS = (
    Incident.id,
    Incident.number,
    Incident.revision,
    Incident.state,
    Incident.sealed,
    Incident.category,
    Incident.urgency,
    Incident.area_code,
    Incident.owner_unit_id,
    Incident.outcome,
)


@dataclass(frozen=True, slots=True)
class _Background:
    """What the payloads of a batch need, read once."""

    areas: AreaMap
    incidents: Mapping[UUID, Row[*tuple[Any, ...]]]
    units: Mapping[UUID, Unit]
    sequences: Mapping[int, int]
    public_url: str

    def area_of(self, event: Any) -> str:  # noqa: ANN401 - any event of a type we send
        if isinstance(event, EndpointDisabled | CallbackRefused):
            return event.area_code
        return str(self.incidents[event.incident_id].area_code)

    def body_of(self, recorded: Recorded[Any]) -> bytes:
        event = recorded.event
        if isinstance(event, EndpointDisabled):
            facts = EndpointFacts(endpoint_id=event.endpoint_id, reason=event.why)
            message = EndpointMessage(type=event.name, timestamp=recorded.at, data=facts)
            return body_of(message)
        if isinstance(event, CallbackRefused):
            refusal = RefusalFacts.model_validate(event)
            return body_of(RefusalMessage(type=event.name, timestamp=recorded.at, data=refusal))
        return body_of(
            IncidentMessage(
                type=event.name, timestamp=recorded.at, data=self._facts(recorded.id, event)
            )
        )

    def _facts(self, event_id: int, event: IncidentEvent) -> IncidentFacts:
        incident = self.incidents[event.incident_id]
        unit = self.units.get(getattr(event, "unit_id", None) or incident.owner_unit_id)
        return facts_of(
            event,
            incident,
            AreaFact(code=incident.area_code, name=self.areas.name(incident.area_code)),
            None if unit is None else UnitFact(id=unit.id, code=unit.code, name=unit.name),
            sequence=self.sequences[event_id],
            public_url=self.public_url,
        )


def _rows(
    recorded: Recorded[Any], endpoints: Sequence[Endpoint], background: _Background, tick: Tick
) -> list[Json]:
    event = recorded.event
    area = background.area_of(event)
    wanting = [
        point
        for point in endpoints
        if wants(point.types, event.name)
        and (
            any(background.areas.is_below(area, root) for root in point.area_codes)
            or point.created_by == getattr(event, "platform_id", None)
        )
        and point.id != getattr(event, "endpoint_id", None)
    ]
    if not wanting:
        return []
    body = background.body_of(recorded)
    return [
        {
            "id": new_id(),
            "endpoint_id": point.id,
            "event_id": recorded.id,
            "subject_id": getattr(event, "incident_id", None),
            "type": event.name,
            "body": body,
            "next_attempt_at": tick.now,
            "created_at": tick.now,
        }
        for point in wanting
    ]


async def _background(
    session: AsyncSession, events: Sequence[Recorded[Any]], areas: AreaMap, public_url: str
) -> _Background:
    ids = {e.event.incident_id for e in events if isinstance(e.event, IncidentEvent)}
    incidents = (await session.execute(select(*_FACTS).where(one_of(Incident.id, ids)))).all()
    named = {getattr(e.event, "unit_id", None) for e in events}
    wanted = (named | {incident.owner_unit_id for incident in incidents}) - {None}
    units = (await session.scalars(select(Unit).where(one_of(Unit.id, wanted)))).all()
    return _Background(
        areas,
        {incident.id: incident for incident in incidents},
        {unit.id: unit for unit in units},
        await _sequences(session, ids),
        public_url,
    )


async def _sequences(session: AsyncSession, ids: set[UUID]) -> dict[int, int]:
    """Event id → its place among its incident's events: the same whenever it is counted."""
    place = func.row_number().over(partition_by=OutboxRow.subject_id, order_by=OutboxRow.id)
    rows = await session.execute(
        select(OutboxRow.id, place.label("place")).where(one_of(OutboxRow.subject_id, ids))
    )
    return {row.id: row.place for row in rows}
