"""Reports that arrive in the same moment: none of them can know of the others."""

import asyncio

from sqlalchemy import text

from app.incidents.models import IncidentSerial
from tests.conftest import NOON
from tests.district import LIUHU, District, new_incident
from tests.incidents.paths import WORKER, rows_of

AT_ONCE = 5
_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def _until_all_wait(district: District) -> None:
    async with asyncio.timeout(10):
        while True:
            async with district.resources.sessions.read() as session:
                if await session.scalar(_WAITING) == AT_ONCE:
                    return
            await asyncio.sleep(0.01)


async def test_i3_posts_that_all_began_before_the_first_was_written_give_one_row(
    district: District,
) -> None:
    """Each looked for the id when nobody had it: only the primary key can tell them apart."""
    worker = await district.client(WORKER)
    meta = new_incident()
    async with district.resources.sessions.begin() as session:
        # the day's serial is taken by a transaction that does not end: everybody waits for it
        session.add(IncidentSerial(area_code=LIUHU, day=NOON.date(), last=0))
        await session.flush()
        posts = [worker.post("/v1/incidents", json=meta) for _ in range(AT_ONCE)]
        sent = asyncio.gather(*posts)
        await _until_all_wait(district)
    answers = await sent
    assert sorted(answer.status_code for answer in answers) == [200] * (AT_ONCE - 1) + [201]
    assert len({answer.text for answer in answers}) == 1
    rows = await rows_of(district, meta["id"])
    assert [event.name for event in rows.events] == ["incident.reported"]
    assert len(rows.history) == 1
