"""Control runs: with a guard taken out the same checks must fail, else they prove nothing."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from app.simulation.fleet import Fleet, drive
from app.simulation.ledger import LedgerFile
from app.system.invariants import Violation
from tests.faults import sabotage
from tests.faults.servers import Sabotage
from tests.faults.test_f14_every_statement import Walk
from tests.faults.tracing import Place, needs_strace
from tests.faults.wire import new_report, note, posting, send, token
from tests.faults.world import WAITING_FOR_LOCKS, WORKERS, World

COPIES = 20
"""As many as two servers have connections."""


async def test_without_unique_keys_a_repeat_is_found_doubled(world: World, tmp_path: Path) -> None:
    await _alter(world, sabotage.UNKEYED)
    urls = [(await world.serve("api", sabotage.look_then_insert)).url for _ in range(2)]
    signed = await token(urls[0])
    made = new_report(1, photos=0)
    request = posting(made, signed)
    async with world.intake_held():  # until all have looked: none of them comes too late
        sending = [asyncio.create_task(send(url, request)) for url in urls * (COPIES // 2)]
        await world.until(WAITING_FOR_LOCKS, COPIES)
    answers = await asyncio.gather(*sending)
    with LedgerFile(tmp_path / "ledger.jsonl") as ledger:
        for answer in filter(None, answers):
            note(ledger, made, answer)
    found = await world.violations(tmp_path / "ledger.jsonl")
    assert _of("V1", found)
    assert await world.count("SELECT count(*) FROM incidents") > 1


async def test_without_the_counters_lock_numbers_are_found_doubled(
    world: World, tmp_path: Path
) -> None:
    await _alter(world, sabotage.UNNUMBERED)
    found = await _two_relays(world, tmp_path / "ledger.jsonl", sabotage.number_by_counting)
    assert _of("V4", found)


@pytest.mark.slow
async def test_with_the_counters_lock_even_two_relays_number_right(
    world: World, tmp_path: Path
) -> None:
    """The counterpart: it is the lock that was missed, not the second relay."""
    found = await _two_relays(world, tmp_path / "ledger.jsonl", sabotage.two_relays_at_once)
    assert not _of("V4", found)


async def _two_relays(world: World, path: Path, taken_out: Sabotage) -> list[Violation]:
    api = await world.serve("api")
    for _ in range(2):
        await world.serve("relay", taken_out)
    fleet = Fleet(url=api.url, people=WORKERS[:1], phones=4, reports=10, seconds=60.0)
    with LedgerFile(path) as ledger:
        summary = await drive(fleet, ledger, lambda _: None)
        assert summary.acknowledged == fleet.phones * fleet.reports
        await world.drained()
    return await world.violations(path)


@needs_strace
async def test_announced_after_the_commit_a_report_is_found_forgotten(
    world: World, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.jsonl"
    walk = await Walk.begun(world, sabotage.announce_after_the_commit)
    await world.serve("relay")
    with LedgerFile(path) as ledger:
        # the first is the report itself
        await walk.along(Place("sendto"), ledger, numbers=(2, 3))
    await world.drained()
    found = await world.violations(path)
    assert "not routed within 60 s" in {violation.what for violation in _of("V3", found)}


async def _alter(world: World, statements: tuple[str, ...]) -> None:
    async with world.resources.sessions.begin() as session:
        for statement in statements:
            await session.execute(text(statement))


def _of(invariant: str, found: list[Violation]) -> list[Violation]:
    return [violation for violation in found if violation.invariant == invariant]
