"""(f) Dry runs: past matters a second judged by two rule sets, next to reading their rows alone.

The matters are copies of reported ones, spread over the last weeks, a minute apart. The yardstick
reads the columns that are judged, in the same batches by the same index, and does no more.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

import psycopg

from app.areas.locate import current_map
from app.opening import opened
from app.routing.dry_run import BATCH, Question, compare, tried_out
from app.routing.queries import rules_of, set_in_force
from app.routing.schemas import NewRule
from tests.load.client import Outcome
from tests.load.servers import House

_CHANGED = (
    NewRule(name="夜间到镇街", from_time="20:00", until_time="08:00", level="township"),
    NewRule(name="消防到区县", category="0201", level="district"),
    NewRule(name="其余到村", level="village"),
)
_COPY = """
    WITH known AS (SELECT to_jsonb(i) AS row, row_number() OVER (ORDER BY id) AS n FROM incidents i)
    INSERT INTO incidents
    SELECT copy.* FROM generate_series(1, %(count)s) AS g
    JOIN known ON known.n = g %% (SELECT count(*) FROM known) + 1
    CROSS JOIN LATERAL jsonb_populate_record(NULL::incidents, known.row || jsonb_build_object(
      'id', gen_random_uuid(), 'number', 'copy-' || g,
      'received_at', now() - g * interval '1 minute')) AS copy
"""
_READ = """
    SELECT id, number, received_at, category, root, urgency, sealed, grid_code, village_code,
      township_code, district_code
    FROM incidents
    WHERE (received_at, id) < (%s, %s) ORDER BY received_at DESC, id DESC LIMIT %s
"""
_LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"


def multiply(house: House, count: int) -> None:
    """So many past matters, of those that were reported."""
    with _connection(house) as connection:
        connection.execute(_COPY, {"count": count})
        connection.execute("VACUUM ANALYZE incidents")


def read(house: House, count: int) -> Outcome:
    outcome, seen = Outcome(), 0
    with _connection(house) as connection:
        began, cpu = time.perf_counter(), time.process_time()
        edge: Sequence[object] = ("infinity", _LAST)
        while seen < count:
            rows = connection.execute(_READ, (*edge, BATCH)).fetchall()
            edge, seen = (rows[-1][2], rows[-1][0]), seen + len(rows)
        return _done(outcome, count, began, time.process_time() - cpu)


def dry_run(house: House, count: int) -> Outcome:
    return asyncio.run(_dry_run(house, count))


async def _dry_run(house: House, count: int) -> Outcome:
    async with opened(house.settings) as resources:
        areas, now = await current_map(resources), resources.clock.now()
        async with resources.sessions.read() as session:
            standing = await set_in_force(session, now)
            assert standing is not None
            question = Question(
                current=await rules_of(session, standing.version),
                changed=tried_out(_CHANGED),
                current_version=standing.version,
                since=now - timedelta(days=365),
                until=now,
                roots=frozenset({"620802"}),
                zone=resources.settings.zone,
            )
            began, cpu = time.perf_counter(), time.process_time()
            examined, report = await compare(session, areas, question)
            outcome = _done(Outcome(), count, began, time.process_time() - cpu)
    assert examined >= count
    assert report.changed > 0
    return outcome


def _done(outcome: Outcome, count: int, began: float, cpu_s: float) -> Outcome:
    outcome.seconds, outcome.cpu_s = time.perf_counter() - began, cpu_s
    outcome.latencies = [outcome.seconds / count] * count
    return outcome


def _connection(house: House) -> psycopg.Connection:
    url = house.settings.database.url.get_secret_value().replace("+psycopg", "")
    return psycopg.connect(url, autocommit=True)
