"""What has served its time goes, by category; a legal hold keeps it; figures and history stay."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from app.core.audit import AuditEntry
from app.incidents.kept import RetentionPeriod
from app.incidents.models import Incident
from app.incidents.retention import due, hold, lift, retain
from app.media.models import MediaFile
from app.media.sweeping import sweep
from tests.district import District
from tests.incidents.paths import PATHS, WORKER, look, walk
from tests.media.test_derivatives import PHOTO, attachment, report

PEOPLE: dict[str, Any] = {
    "raiser": {"name": "王五", "phone": "13800000000"},
    "parties": [{"role": "当事人", "name": "赵六", "phone": "13900000000"}],
}
YEAR = timedelta(days=366)


async def closed(district: District, **changes: Any) -> str:
    incident_id, _ = await report(district, **PEOPLE, **changes)
    await district.work_off()
    await walk(district, incident_id, *PATHS["closed"])
    return incident_id


async def found(district: District) -> list[tuple[int, bool]]:
    """Files and people's data that are due."""
    resources = district.resources
    async with resources.sessions.read() as session:
        rows = await due(session, resources.settings.retention, resources.clock.now())
    return [(len(each.file_ids), each.people) for each in rows]


async def test_people_go_after_a_year_and_files_after_two(district: District) -> None:
    incident_id = await closed(district)
    district.clock.advance(timedelta(days=364))
    assert await found(district) == []
    district.clock.advance(timedelta(days=2))
    assert await found(district) == [(0, True)]
    assert await retain(district.resources) == 0
    shown = await look(district, WORKER, incident_id)
    assert (shown["raiser"], shown["parties"]) == (None, [])
    assert shown["attachments"][0]["url"] is not None
    district.clock.advance(YEAR)
    assert await found(district) == [(1, False)]
    assert await retain(district.resources) == 1
    assert district.store.objects == {}
    shown = await attachment(district, incident_id)
    assert (shown["state"], shown["url"], shown["view_url"]) == ("erased", None, None)
    assert (shown["size"], shown["taken"]) == (len(PHOTO), None)
    assert await retain(district.resources) == 0
    async with district.resources.sessions.read() as session:
        actions = list(await session.scalars(select(AuditEntry.action)))
    assert actions.count("retention.erase") == 2


async def test_an_open_matter_keeps_everything(district: District) -> None:
    await report(district, **PEOPLE)
    await district.work_off()
    district.clock.advance(5 * YEAR)
    assert await retain(district.resources) == 0
    assert len(district.store.objects) == 4


async def test_a_legal_hold_keeps_a_matter_until_it_is_lifted(district: District) -> None:
    incident_id = await closed(district)
    async with district.resources.sessions.begin() as session:
        key = (await session.scalars(select(Incident.id))).one()
        await hold(session, key, "诉讼中", district.clock.now())
    district.clock.advance(3 * YEAR)
    assert await found(district) == []
    assert await retain(district.resources) == 0
    assert (await look(district, WORKER, incident_id))["raiser"] is not None
    async with district.resources.sessions.begin() as session:
        await lift(session, key, district.clock.now())
    assert await retain(district.resources) == 1


@pytest.mark.parametrize(
    ("category", "months", "gone"), [("02", 1, True), ("0201", 36, False), ("03", 1, False)]
)
async def test_a_category_has_its_own_period(
    district: District, category: str, months: int, *, gone: bool
) -> None:
    """The nearest upwards that has one decides."""
    await closed(district)
    async with district.resources.sessions.begin() as session:
        await session.execute(
            insert(RetentionPeriod).values(
                [{"category": category, "media_months": months, "parties_months": None}]
            )
        )
    district.clock.advance(timedelta(days=40))
    assert await retain(district.resources) == int(gone)
    district.clock.advance(2 * YEAR)
    assert await retain(district.resources) == int(not gone and category == "03")


async def test_an_erased_file_is_no_violation_and_its_repeat_no_new_file(
    district: District,
) -> None:
    incident_id = await closed(district)
    district.clock.advance(3 * YEAR)
    await retain(district.resources)
    shown = await attachment(district, incident_id)
    worker = await district.client(WORKER)
    url = f"/v1/incidents/{incident_id}/attachments/{shown['id']}"
    again = await worker.put(url, content=PHOTO)
    assert again.status_code == 200
    assert again.headers["idempotency-replayed"] == "true"
    district.clock.advance(timedelta(days=2))
    await sweep(district.resources)
    assert district.store.objects == {}
    async with district.resources.sessions.read() as session:
        file = (await session.scalars(select(MediaFile))).one()
    assert (file.state, file.object_key) == ("erased", None)
