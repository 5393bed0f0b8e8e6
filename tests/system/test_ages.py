"""Ages are the alarms: how long the oldest of each kind has been waiting."""

from datetime import timedelta

import pytest

from app.core.metrics import Metrics
from app.system.ages import register_ages
from tests.district import District, new_incident

FILE = {"id": "01939e6a-0003-7000-8000-000000000001", "kind": "photo"}


async def test_nothing_waiting_is_age_zero(district: District) -> None:
    register_ages(district.resources)
    ages = await district.resources.the(Metrics).ages()
    assert set(ages.values()) == {0.0}
    assert len(ages) == 9


@pytest.mark.parametrize(
    "name", ["unrouted_oldest_seconds", "outbox_oldest_seconds", "media_pending_oldest_seconds"]
)
async def test_r4_what_nobody_works_off_shows_its_age(district: District, name: str) -> None:
    register_ages(district.resources)
    worker = await district.client("worker-yonghong")
    sent = await worker.post("/v1/incidents", json=new_incident(attachments=[FILE]))
    assert sent.status_code == 201
    district.clock.advance(timedelta(days=400))
    ages = await district.resources.the(Metrics).ages()
    assert ages[name] > 60


async def test_an_urgent_notice_nobody_has_seen_shows_its_age(district: District) -> None:
    register_ages(district.resources)
    await district.report(urgency="urgent")
    district.clock.advance(timedelta(seconds=90))
    ages = await district.resources.the(Metrics).ages()
    assert ages["unseen_urgent_oldest_seconds"] == 90
    assert ages["unrouted_oldest_seconds"] == 0
