"""The audit trail: chained by whoever seals it, whole in any order of commits, never edited."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.core import audit
from app.core.audit import AuditEntry
from app.core.audit_chain import first_break, note_hash
from app.core.audit_sealing import Sealing, newest_seal
from app.core.db import Sessions
from tests.conftest import NOON
from tests.district import District


@pytest.fixture
def writing(district: District) -> Sessions:
    return district.resources.sessions


async def _note(sessions: Sessions, count: int = 1) -> None:
    async with sessions.begin() as session:
        for number in range(count):
            await audit.note(
                session,
                at=NOON + timedelta(seconds=number),
                actor_id=uuid4(),
                action="unit.changed",
                target=("unit", number),
                name="旧名",
                score=number,
            )


async def _chain(sessions: Sessions) -> list[AuditEntry]:
    async with sessions.read() as session:
        rows = await session.scalars(select(AuditEntry).order_by(AuditEntry.chain_seq))
        return list(rows)


async def test_entries_are_sealed_one_to_n_each_over_the_one_before(writing: Sessions) -> None:
    await _note(writing, 3)
    assert await Sealing(writing).work() == 3
    await _note(writing, 2)
    assert await Sealing(writing).work() == 2
    assert await Sealing(writing).work() == 0
    chain = await _chain(writing)
    assert [entry.chain_seq for entry in chain] == list(range(1, len(chain) + 1))
    assert first_break(chain) is None
    head = chain[-1]
    assert head.hash == note_hash(head, len(chain), chain[-2].hash or b"")
    async with writing.read() as session:
        assert await newest_seal(session) == (len(chain), head.hash)


async def test_what_commits_late_with_a_lower_id_is_sealed_later(writing: Sessions) -> None:
    async with writing.begin() as slow:
        await audit.note(slow, at=NOON, actor_id=None, action="slow", target=("unit", 1))
        await _note(writing)
        assert await Sealing(writing).work() == 1
    assert await Sealing(writing).work() == 1
    chain = await _chain(writing)
    assert chain[-1].action == "slow"
    assert chain[-1].id < chain[-2].id
    assert first_break(chain) is None


async def test_whoever_writes_waits_for_no_sealer(writing: Sessions) -> None:
    async with writing.begin() as held:
        await held.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": 0x7365616C})
        async with asyncio.timeout(5):
            await _note(writing)
            # another process is sealing: this one leaves it to that one
            assert await Sealing(writing).work() == 0
    assert await Sealing(writing).work() == 1


async def test_two_sealers_at_once_seal_each_entry_once(writing: Sessions) -> None:
    await _note(writing, 400)
    sealed = [await asyncio.gather(*(Sealing(writing).work() for _ in range(4))) for _ in range(3)]
    assert sum(map(sum, sealed)) == 400
    assert first_break(await _chain(writing)) is None


async def test_more_than_a_batch_is_sealed_until_nothing_waits(
    writing: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.core.audit_sealing.BATCH", 7)
    await _note(writing, 16)
    stop = asyncio.Event()
    running = asyncio.create_task(Sealing(writing).run(stop))
    async with asyncio.timeout(20):
        while await _unsealed(writing):  # noqa: ASYNC110 - it is the database that is waited for
            await asyncio.sleep(0.01)
    stop.set()
    await running
    assert first_break(await _chain(writing)) is None


async def _unsealed(sessions: Sessions) -> int:
    async with sessions.read() as session:
        waiting = select(func.count()).where(AuditEntry.chain_seq.is_(None))
        return await session.scalar(waiting) or 0


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_entries SET action = 'another'",
        "UPDATE audit_entries SET facts = '{}'",
        "UPDATE audit_entries SET chain_seq = chain_seq + 1000, hash = hash",
        "UPDATE audit_entries SET chain_seq = NULL, hash = NULL",
        "DELETE FROM audit_entries",
    ],
)
async def test_a_sealed_entry_is_neither_changed_nor_removed(
    writing: Sessions, change: str
) -> None:
    await _note(writing)
    await Sealing(writing).work()
    with pytest.raises(DBAPIError, match="append-only"):
        async with writing.begin() as session:
            await session.execute(text(change))


async def test_no_two_entries_have_one_place(writing: Sessions) -> None:
    await _note(writing, 2)
    await Sealing(writing).work()
    with pytest.raises(IntegrityError):
        await _force(writing, "UPDATE audit_entries SET chain_seq = 1")


async def _force(sessions: Sessions, statement: str) -> None:
    """As somebody whom triggers do not hold up."""
    async with sessions.begin() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text(statement))


CHANGES: dict[str, Any] = {
    "at": NOON - timedelta(days=1),
    "actor_id": uuid4(),
    "action": "another",
    "object_kind": "another",
    "object_id": "another",
    "facts": {"name": "新名"},
    "chain_seq": 99,
    "hash": bytes(32),
    "id": 10**9,
}


@pytest.mark.parametrize("field", CHANGES)
async def test_a_single_altered_field_breaks_the_chain_there(writing: Sessions, field: str) -> None:
    await _note(writing, 5)
    await Sealing(writing).work()
    chain = await _chain(writing)
    setattr(chain[-3], field, CHANGES[field])
    assert first_break(chain) == len(chain) - 2


async def test_an_entry_forged_with_its_own_hash_breaks_the_one_after(writing: Sessions) -> None:
    await _note(writing, 5)
    await Sealing(writing).work()
    chain = await _chain(writing)
    chain[-3].action = "another"
    chain[-3].hash = note_hash(chain[-3], len(chain) - 2, chain[-4].hash or b"")
    assert first_break(chain) == len(chain) - 1
    assert first_break([*chain[:-4], *chain[-3:]]) == len(chain) - 3
