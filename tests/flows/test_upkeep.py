"""What has served its time is forgotten; what has not stays."""

from datetime import timedelta

from sqlalchemy import func, select

from app.core.idempotency import KeptAnswer
from app.worker import upkeep
from tests.district import District


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
