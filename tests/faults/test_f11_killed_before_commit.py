"""F11: what dies between the store's PUT and the COMMIT leaves a stray and nothing else."""

import asyncio
from pathlib import Path

from app.core.clock import SystemClock
from app.media.sweeping import sweep
from app.simulation.ledger import LedgerFile
from tests.faults.wire import new_report, note, posting, send, send_until_answered, token
from tests.faults.world import WAITING_FOR_LOCKS, World

_END_THEM = WAITING_FOR_LOCKS.replace("count(*)", "count(pg_terminate_backend(pid))")
"""A statement whose client has died would still be carried out and committed."""


async def test_f11_killed_between_put_and_commit_leaves_a_stray_that_is_swept(
    world: World, tmp_path: Path
) -> None:
    api, other = await world.serve("api"), await world.serve("api")
    await world.serve("relay")
    signed = await token(api.url)
    made = new_report(1, photos=2)
    async with world.intake_held():
        sending = asyncio.create_task(send(api.url, posting(made, signed)))
        await world.until(WAITING_FOR_LOCKS, 1)
        assert await world.objects() == 2
        await api.kill()
        assert await sending is None
        await world.count(_END_THEM)
    await _only_strays_are_left(world, 2)
    with LedgerFile(tmp_path / "ledger.jsonl") as ledger:
        again = await send_until_answered(other.url, posting(made, signed))
        assert (again.status, again.json["complete"]) == (201, True)
        note(ledger, made, again)
    await world.drained()
    assert await world.violations(tmp_path / "ledger.jsonl") == []
    assert await world.objects() == 2


async def test_f11_a_commit_that_fails_is_told_as_unknown_and_leaves_a_stray(world: World) -> None:
    api = await world.serve("api")
    signed = await token(api.url)
    made = new_report(1)
    async with world.intake_held():
        sending = asyncio.create_task(send(api.url, posting(made, signed)))
        await world.until(WAITING_FOR_LOCKS, 1)
        await world.count(_END_THEM)
        answer = await sending
    assert answer is not None
    assert (answer.status, answer.json["code"]) == (503, "outcome-unknown")
    assert answer.headers["retry-after"]
    await _only_strays_are_left(world, 1)
    again = await send_until_answered(api.url, posting(made, signed))
    assert (again.status, again.json["complete"]) == (201, True)
    assert world.bugs() == []


async def _only_strays_are_left(world: World, strays: int) -> None:
    await world.until(WAITING_FOR_LOCKS, 0)
    assert await world.count("SELECT count(*) FROM incidents") == 0
    assert await world.count("SELECT count(*) FROM domain_events") == 0
    # they might be of a report that is about to be written: a young stray is let be
    assert (await sweep(world.at(SystemClock()))).objects == 0
    assert await world.swept() == strays
    assert await world.objects() == 0
