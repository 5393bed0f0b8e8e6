"""The outbox: an event shares the fate of the transaction in which it was recorded."""

import pytest
from sqlalchemy import func, select

from app.core.events import OutboxRow, record
from tests.conftest import NOON
from tests.core.outbox import SOUND, remark
from tests.district import District


async def _recorded(district: District) -> int:
    async with district.resources.sessions.read() as session:
        return await session.scalar(select(func.count()).select_from(OutboxRow)) or 0


async def test_i3_an_event_is_gone_with_its_transaction(district: District) -> None:
    async def fail() -> None:
        async with district.resources.sessions.begin() as session:
            await record(session, remark(SOUND, 1), at=NOON)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await _recorded(district) == 0


async def test_i3_nobody_sees_an_event_before_its_transaction_ends(district: District) -> None:
    async with district.resources.sessions.begin() as session:
        await record(session, remark(SOUND, 1), at=NOON)
        assert await _recorded(district) == 0
    assert await _recorded(district) == 1


async def test_i3_recording_an_event_commits_nothing_that_was_written_before(
    district: District,
) -> None:
    async with district.resources.sessions.begin() as session:
        for number in range(2):
            await record(session, remark(SOUND, number), at=NOON)
            assert await _recorded(district) == 0
