"""(d) The relay: events a second with three reactions each, next to the bare statements.

Each event is a remark on a real matter: its reporter is told, the staff of its unit are told, and
a delivery is queued for a platform, which is three rows an event. The yardstick writes and marks
the same rows in the same batches, with the product's own statement for notices and none of its
parsing, texts and payloads.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any
from uuid import UUID

import orjson
import psycopg
import uvloop
from psycopg.rows import namedtuple_row
from sqlalchemy import insert
from sqlalchemy.dialects.postgresql import psycopg as dialect

from app.core.db import new_id
from app.core.relay import BATCH
from app.incidents.events import IncidentCommented
from app.notifications import inbox
from app.opening import opened
from app.webhooks import sealing
from app.webhooks.models import Endpoint
from app.webhooks.signing import new_secret
from tests.load.client import Outcome
from tests.load.machine import cpu_seconds
from tests.load.servers import PRODUCT, House, served

RELAY = (*PRODUCT[:-1], "relay")
MATTERS = 1000
_MOST_S = 300.0
_PAYLOAD = b"x" * 700
"""About as long as a delivery's body."""


@dataclass(frozen=True, slots=True)
class Matter:
    id: UUID
    number: str
    reporter_id: UUID
    unit_id: UUID


def subscribe(house: House) -> UUID:
    """A platform that wants everything of the district. Returns its endpoint."""
    return asyncio.run(_subscribe(house))


async def _subscribe(house: House) -> UUID:
    async with opened(house.settings) as resources:
        now = resources.clock.now()
        endpoint = {
            "id": new_id(),
            "url": "https://platform.invalid/",
            "description": "",
            "types": ["*"],
            "area_codes": ["620802"],
            "ordered": False,
            "state": "active",
            "secret": resources.keys.seal(sealing.PURPOSE, new_secret()),
            "owner_area": "620802",
            "created_by": new_id(),
            "created_at": now,
        }
        async with resources.sessions.begin() as session:
            await session.execute(insert(Endpoint), [endpoint])
        return UUID(str(endpoint["id"]))


def settle(house: House) -> list[Matter]:
    """Wait until a relay has routed everything that was reported; the matters then."""
    with served(house, RELAY, 1), _connection(house) as connection:
        _wait(connection, "SELECT count(*) FROM domain_events WHERE processed_at IS NULL")
    with _connection(house) as connection:
        rows = connection.execute(
            "SELECT id, number, reporter_id, owner_unit_id FROM incidents LIMIT %s", (MATTERS,)
        )
        return [Matter(*row) for row in rows]


def relayed(house: House, matters: Sequence[Matter], count: int) -> Outcome:
    """The product. Latencies: from the commit of all to the batch an event was in."""
    outcome = Outcome()
    with _connection(house) as connection, served(house, RELAY, 1) as relay:
        began, cpu = time.perf_counter(), cpu_seconds(list(relay.pids))
        _remark(connection, matters, count)
        committed = time.time()
        _wait(connection, "SELECT count(*) FROM domain_events WHERE processed_at IS NULL")
        outcome.seconds = time.perf_counter() - began
        rows = connection.execute(
            "SELECT greatest(extract(epoch FROM processed_at) - %s, 0)::float FROM domain_events"
            " WHERE name = 'incident.commented'",
            (committed,),
        )
        outcome.latencies = [row[0] for row in rows]
        outcome.cpu_s = cpu_seconds(list(relay.pids)) - cpu
        _clear(connection)
    return outcome


def bare(house: House, matters: Sequence[Matter], endpoint: UUID, count: int) -> Outcome:
    """The yardstick, in a fresh process."""
    with _connection(house) as connection:
        _remark(connection, matters, count)
    url = house.settings.database.url.get_secret_value().replace("+psycopg", "")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        outcome = process.submit(_write_all, url, endpoint).result()
    with _connection(house) as connection:
        _clear(connection)
    return outcome


def _connection(house: House) -> psycopg.Connection:
    url = house.settings.database.url.get_secret_value().replace("+psycopg", "")
    return psycopg.connect(url, autocommit=True)


def _remark(connection: psycopg.Connection, matters: Sequence[Matter], count: int) -> None:
    """So many events in one transaction, one matter after another."""
    with connection.transaction(), connection.cursor() as cursor:
        into = "COPY domain_events (name, subject_id, payload, occurred_at) FROM STDIN"
        with cursor.copy(into) as copy:
            for number in range(count):
                matter = matters[number % len(matters)]
                event = IncidentCommented(
                    incident_id=matter.id,
                    number=matter.number,
                    reporter_id=matter.reporter_id,
                    sealed=False,
                    actor_id=matter.id,
                    unit_id=matter.unit_id,
                    state="submitted",
                    history_seq=1,
                )
                row = (event.name, str(matter.id), event.model_dump_json(), "now")
                copy.write_row(row)


def _wait(connection: psycopg.Connection, question: str) -> None:
    began = time.perf_counter()
    while (row := connection.execute(question.encode()).fetchone()) and row[0]:
        assert time.perf_counter() - began < _MOST_S, "the relay does not get on"
        time.sleep(0.02)


def _clear(connection: psycopg.Connection) -> None:
    """Every round writes into tables of the same size."""
    for statement in (
        "TRUNCATE deliveries, reminders, notices, delivery_attempts, inboxes",
        "DELETE FROM domain_events WHERE name = 'incident.commented'",
        "VACUUM ANALYZE domain_events",
    ):
        connection.execute(statement.encode())


def _write_all(url: str, endpoint: UUID) -> Outcome:
    return uvloop.run(_write(url, endpoint))


async def _write(url: str, endpoint: UUID) -> Outcome:
    outcome = Outcome()
    write = str(inbox._WRITE.compile(dialect=dialect.dialect()))  # type: ignore[no-untyped-call]  # noqa: SLF001 - the product's own statement
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True, row_factory=namedtuple_row
    ) as connection:
        desks = await _desks(connection)
        began, cpu = time.perf_counter(), time.process_time()
        while done := await _write_batch(connection, write, endpoint, desks):
            outcome.latencies += [time.perf_counter() - began] * done
        outcome.seconds = time.perf_counter() - began
        outcome.cpu_s = time.process_time() - cpu
    return outcome


async def _desks(connection: psycopg.AsyncConnection[Any]) -> dict[str, str]:
    """Somebody of each unit's desk."""
    rows = await connection.execute(
        "SELECT unit_id, min(person_id::text) AS person_id FROM role_holdings"
        " WHERE role = 'dispatcher' GROUP BY unit_id"
    )
    return {str(row.unit_id): row.person_id for row in await rows.fetchall()}


async def _write_batch(
    connection: psycopg.AsyncConnection[Any], write: str, endpoint: UUID, desks: dict[str, str]
) -> int:
    """One batch in one transaction. Returns its events."""
    async with connection.transaction():
        events = await (await connection.execute(_WAITING, (BATCH,), prepare=True)).fetchall()
        if not events:
            return 0
        ids = [event.id for event in events]
        for person in (_reporter, partial(_desk, desks)):
            drafts = [_draft(event, person(event)) for event in events]
            text = orjson.dumps(drafts).decode()
            await connection.execute(write, {"drafts": text}, prepare=True)
        subjects = [event.subject_id for event in events]
        rows = [new_id() for _ in events]
        bodies = [_PAYLOAD] * len(events)
        await connection.execute(_DELIVER, (endpoint, rows, ids, subjects, bodies), prepare=True)
        await connection.execute(_MARK, (ids,), prepare=True)
    return len(events)


def _reporter(event: Any) -> str:
    return str(event.payload["reporter_id"])


def _desk(desks: dict[str, str], event: Any) -> str:
    """Where nobody works at the desk, somebody is told all the same: the rows are what counts."""
    return desks.get(event.payload["unit_id"]) or next(iter(desks.values()))


def _draft(event: Any, person: str) -> dict[str, Any]:
    return {
        "position": event.id,
        "person_id": person,
        "event_id": event.id,
        "type": event.name,
        "incident_id": str(event.subject_id),
        "number": event.payload["number"],
        "state": event.payload["state"],
        "title": "有新留言",
        "body": "事件 620802105-20260311-0001。",
        "at": event.occurred_at,
        "remind_at": None,
    }


_WAITING = """
    SELECT id, name, subject_id, payload, occurred_at FROM domain_events
    WHERE processed_at IS NULL ORDER BY id LIMIT %s"""
_DELIVER = """
    INSERT INTO deliveries
      (id, endpoint_id, event_id, subject_id, type, body, next_attempt_at, created_at)
    SELECT d.id, %s, d.event_id, d.subject_id, 'incident.commented', d.body,
      clock_timestamp(), clock_timestamp()
    FROM unnest(%s::uuid[], %s::bigint[], %s::uuid[], %s::bytea[])
      AS d (id, event_id, subject_id, body)
    ON CONFLICT DO NOTHING"""
_MARK = "UPDATE domain_events SET processed_at = clock_timestamp() WHERE id = ANY(%s)"
