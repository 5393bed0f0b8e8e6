"""F14, I10: a server is killed right before each thing it says, to database, store or phone."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy import text

from app.simulation.ledger import LedgerFile
from tests.faults.conftest import Tell
from tests.faults.servers import Sabotage, Server
from tests.faults.tracing import Place, killed_before, needs_strace
from tests.faults.wire import (
    answers,
    new_report,
    note,
    posting,
    send,
    send_until_answered,
    token,
)
from tests.faults.world import WAITING_FOR_LOCKS, WORKERS, World

CALLS = (
    Place("sendto"),  # libpq's
    Place("write"),  # wakes the store's client, and writes the log
    Place("writev"),  # uvloop's, to the phone
    Place("writev", every_thread=True),  # the store's client's
    Place("sendmsg"),  # what any of them may choose instead
)
WHOLE = range(1, 61)
A_BATCH, SOME_OF_IT = range(1, 201), range(1, 201, 12)
_DONE_S = 20.0

pytestmark = needs_strace


async def test_f14_a_kill_before_any_send_leaves_all_or_nothing(
    world: World, tmp_path: Path, tell: Tell
) -> None:
    tell(await _walk_and_check(world, tmp_path / "ledger.jsonl", survived=1))


@pytest.mark.slow
async def test_f14_the_whole_walk(world: World, tmp_path: Path, tell: Tell) -> None:
    tell(await _walk_and_check(world, tmp_path / "ledger.jsonl", survived=len(WHOLE)))


async def _walk_and_check(world: World, path: Path, survived: int) -> str:
    began = time.monotonic()
    walk = await Walk.begun(world)
    await world.serve("relay")
    with LedgerFile(path) as ledger:
        for place in CALLS:
            await walk.along(place, ledger, survived)
    await world.drained()
    reports = await world.count("SELECT count(*) FROM incidents")
    assert reports == walk.outcomes.total()
    # it died before the report was written, and after
    assert walk.outcomes["killed, repeat 201"] >= 2
    assert walk.outcomes["killed, repeat 200"] >= 1
    assert await world.violations(path) == []
    swept = await world.swept()
    assert await world.objects() == reports
    assert world.bugs() == []
    seconds = time.monotonic() - began
    return f"F14: {dict(walk.outcomes)}, {swept} strays swept, {seconds:.0f} s"


class Walk:
    """A report for each number; its server is killed before it makes that call so many times."""

    def __init__(self, world: World, other: Server, signed: str, sabotage: Sabotage | None) -> None:
        self.outcomes: Counter[str] = Counter()
        self._world = world
        self._other = other
        """Takes the repeats."""
        self._token = signed
        self._sabotage = sabotage
        self._api: Server | None = None

    @classmethod
    async def begun(cls, world: World, sabotage: Sabotage | None = None) -> "Walk":
        other = await world.serve("api", sabotage)
        return cls(world, other, await token(other.url), sabotage)

    async def along(
        self, place: Place, ledger: LedgerFile, survived: int = 1, numbers: Iterable[int] = WHOLE
    ) -> None:
        """Ends once so many were survived."""
        for number in numbers:
            survived -= await self._one(place, number, ledger)
            if not survived:
                return

    async def _one(self, place: Place, number: int, ledger: LedgerFile) -> bool:
        """Whether it was survived."""
        api = self._api = self._api or await self._warm()
        made = new_report(number)
        async with killed_before(api, place, number):
            first = await send(api.url, posting(made, self._token))
        survived = await answers(api.url)
        if not survived:
            await api.ended()
            self._api = None
        again = await send_until_answered(self._other.url, posting(made, self._token))
        note(ledger, made, again)
        end = "survived" if survived else "killed" if first is None else "killed once answered"
        self.outcomes[f"{end}, repeat {again.status}"] += 1
        return survived

    async def _warm(self) -> Server:
        """Its connections and caches are; what is counted then is the report alone."""
        api = await self._world.serve("api", self._sabotage)
        await send_until_answered(api.url, posting(new_report(0), self._token))
        self.outcomes["sound"] += 1
        return api


async def test_f14_a_relay_killed_before_any_statement_reacts_once(
    world: World, tmp_path: Path, tell: Tell
) -> None:
    tell(await _walk_the_relay(world, tmp_path / "ledger.jsonl", SOME_OF_IT))


@pytest.mark.slow
async def test_f14_a_relay_killed_before_every_statement_reacts_once(
    world: World, tmp_path: Path, tell: Tell
) -> None:
    tell(await _walk_the_relay(world, tmp_path / "ledger.jsonl", A_BATCH))


async def _walk_the_relay(world: World, path: Path, numbers: Iterable[int]) -> str:
    """Ends with the number at which the work was done before the kill."""
    began = time.monotonic()
    api = await world.serve("api")
    signed = await token(api.url)
    interrupted = 0
    with LedgerFile(path) as ledger:
        for number in numbers:
            made = new_report(number)
            note(ledger, made, await send_until_answered(api.url, posting(made, signed)))
            await _kill_at_work(world, number)
            if not await world.waiting():
                break
            interrupted += 1
            await _work_off(world)
        else:
            raise AssertionError("the walk ends in mid-work")
        heard = await world.hears_everything(api, WORKERS[0], ledger)
    assert await world.violations(path) == []
    assert heard == 2 * await world.count("SELECT count(*) FROM incidents")
    assert interrupted >= 2
    assert world.bugs() == []
    return f"F14: the relay interrupted {interrupted} times, {time.monotonic() - began:.0f} s"


async def _work_off(world: World) -> None:
    relay = await world.serve("relay")
    await world.drained()
    await relay.stop()


async def _kill_at_work(world: World, number: int) -> None:
    """A relay that begins to read what waits, and may send so many statements about it."""
    async with world.resources.sessions.engine.connect() as connection:
        await connection.execute(text("LOCK TABLE domain_events IN ACCESS EXCLUSIVE MODE"))
        relay = await world.serve("relay")
        await world.until(WAITING_FOR_LOCKS, 1)
        async with killed_before(relay, Place("sendto"), number):
            await connection.rollback()
            deadline = time.monotonic() + _DONE_S
            while relay.alive and await world.waiting():
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
    await relay.kill()
