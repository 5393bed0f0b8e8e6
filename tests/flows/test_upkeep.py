"""What has served its time is forgotten; what has not stays."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import func, select
from structlog.testing import capture_logs

from app.core.idempotency import KeptAnswer
from app.worker import upkeep
from tests.district import District
from tests.incidents.paths import WORKER, form, with_photo


async def _kept(district: District) -> int:
    async with district.resources.sessions.read() as session:
        return await session.scalar(select(func.count()).select_from(KeptAnswer)) or 0


async def test_i8_kept_answers_outlive_ninety_days_but_not_more(district: District) -> None:
    worker = await district.client("worker-yonghong")
    headers = {"Idempotency-Key": "ack-1"}
    answer = await worker.post("/v1/inbox/ack", json={"up_to": 0}, headers=headers)
    assert answer.status_code == 200
    district.clock.advance(timedelta(days=90))
    await upkeep(district.resources)
    assert await _kept(district) == 1
    district.clock.advance(timedelta(minutes=1))
    await upkeep(district.resources)
    assert await _kept(district) == 0


async def test_a_store_that_is_down_does_not_stop_the_rest(district: District) -> None:
    worker = await district.client("worker-yonghong")
    await worker.post("/v1/inbox/ack", json={"up_to": 0}, headers={"Idempotency-Key": "ack-1"})
    district.store.down = True
    district.clock.advance(timedelta(days=91))
    await upkeep(district.resources)
    assert await _kept(district) == 0


async def test_m10_r3_a_nights_sample_finds_bytes_that_changed_in_the_store(
    district: District,
) -> None:
    """Noon asks nothing; each night once, and what was found out is not stored any more."""
    worker = await district.client(WORKER)
    meta, files = with_photo()
    assert (await worker.post("/v1/incidents", files=form(meta, files))).status_code == 201
    (key,) = district.store.objects
    kept = district.store.objects[key]
    district.store.objects[key] = replace(kept, body=kept.body[:-1] + b"x")
    nights = (
        ((0, 15, 1, 1), ["file_damaged", "files_reread"], b"1.0"),
        ((23, 1), ["files_reread"], b"0.0"),
    )
    for hours, expected, damaged in nights:
        with capture_logs() as logs:
            for hour in hours:
                district.clock.advance(timedelta(hours=hour))
                await upkeep(district.resources)
        told = [line["event"] for line in logs if line["event"] in {"file_damaged", "files_reread"}]
        assert told == expected
        assert b"media_damaged_files " + damaged in (await worker.get("/metrics")).content


async def test_m10_a_store_that_is_down_at_night_is_asked_the_next_hour(
    district: District,
) -> None:
    worker = await district.client(WORKER)
    meta, files = with_photo()
    assert (await worker.post("/v1/incidents", files=form(meta, files))).status_code == 201
    district.clock.advance(timedelta(hours=15))
    for down, told in ((True, []), (False, ["files_reread"])):
        district.store.down = down
        with capture_logs() as logs:
            await upkeep(district.resources)
        assert [line["event"] for line in logs if line["event"] == "files_reread"] == told
