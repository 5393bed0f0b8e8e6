"""I10, F13-F16: processes and the database are killed while phones report."""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import pytest

from app.embedded.store import EmbeddedStore
from app.simulation.fleet import Fleet, Summary, drive
from app.simulation.ledger import LedgerFile
from app.simulation.link import Patience
from tests.faults.conftest import Tell
from tests.faults.database import Database
from tests.faults.servers import Server
from tests.faults.wire import Answer, new_report, note, posting, send, send_until_answered, token
from tests.faults.world import WORKERS, World

PHONES = 10
REPORTS = 80
MANY_REPORTS = int(os.environ.get("ETONG_FAULT_REPORTS", "2000"))
A_KILL_PER = 5
"""Reports between two kills, in the mean."""
ROUNDS, MANY_ROUNDS = 1, 1000
PAUSE_S = (0.0, 0.3)
TOLD_WITHIN_S = 5.0
_CHANCE = random.Random()  # noqa: S311 - when it happens, not a secret
_PATIENCE = Patience(tries=200, longest_wait_s=0.5)

Kill = Callable[[], Awaitable[None]]


@pytest.fixture(scope="module")
async def database(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Database]:
    async with Database.opened(tmp_path_factory.mktemp("home")) as database:
        yield database


@pytest.fixture
async def killable(
    database: Database, object_store: EmbeddedStore, tmp_path: Path
) -> AsyncIterator[World]:
    async with World.opened(database.copy(), object_store, tmp_path) as world:
        yield world


async def test_f13_without_its_database_the_server_says_so_and_recovers_alone(
    killable: World, database: Database, tmp_path: Path
) -> None:
    api, relay = await killable.serve("api"), await killable.serve("relay")
    signed = await token(api.url)
    before, during, after = (new_report(number) for number in range(3))
    with LedgerFile(tmp_path / "ledger.jsonl") as ledger:
        note(ledger, before, await send_until_answered(api.url, posting(before, signed)))
        for end in (database.kill, database.stop):
            await end()
            refused = await _answered_in_time(api, posting(during, signed))
            assert refused.status == 503
            assert refused.json["code"] in {"unavailable", "outcome-unknown"}
            assert int(refused.headers["retry-after"]) > 0
            await database.start()
        for made in (during, after):
            note(ledger, made, await send_until_answered(api.url, posting(made, signed)))
    await killable.drained()
    assert await killable.violations(tmp_path / "ledger.jsonl") == []
    assert api.alive
    assert relay.alive
    assert killable.bugs() == []


async def _answered_in_time(api: Server, request: bytes) -> Answer:
    began = time.monotonic()
    answer = await send(api.url, request)
    assert time.monotonic() - began < TOLD_WITHIN_S
    assert answer is not None
    return answer


async def test_i10_kills_under_load_lose_and_double_nothing(
    killable: World, database: Database, tmp_path: Path, tell: Tell
) -> None:
    path = tmp_path / "ledger.jsonl"
    tell(await _kill_under_load(killable, database, path, REPORTS, ROUNDS))


@pytest.mark.slow
async def test_i10_kills_under_long_load(
    killable: World, database: Database, tmp_path: Path, tell: Tell
) -> None:
    path = tmp_path / "ledger.jsonl"
    tell(await _kill_under_load(killable, database, path, MANY_REPORTS, MANY_ROUNDS))


async def _kill_under_load(
    world: World, database: Database, path: Path, reports: int, rounds: int
) -> str:
    began = time.monotonic()
    apis = [await world.serve("api") for _ in range(2)]
    relays = [await world.serve("relay") for _ in range(2)]
    with LedgerFile(path) as ledger:
        victims: dict[str, Sequence[Kill]] = {
            "api": [_again(server) for server in apis],
            "relay": [_again(server) for server in relays],
            "database": [_again(database)],
            "restart": [_restart(database)],
            "connection": [database.kill_one_connection],
        }
        killing = _Killing(victims, ledger)
        killer = asyncio.create_task(killing.run(rounds))
        try:
            each = reports // PHONES
            summaries = await asyncio.gather(*(_load(api, each, ledger) for api in apis))
        finally:
            await killing.end(killer)
        await database.recovered()
        await world.drained()
        heads = [await world.hears_everything(apis[0], who, ledger) for who in WORKERS]
    made = sum(summary.made for summary in summaries)
    assert made == sum(summary.acknowledged for summary in summaries) == PHONES * each
    assert set(killing.kills) == set(victims)
    assert await world.count("SELECT count(*) FROM incidents") == made
    assert await world.violations(path) == []
    # a report is heard of twice: that it was received, and who has it now; late files once more
    assert sum(heads) >= made * 2
    await world.swept()
    assert await world.objects() == made
    assert world.bugs() == []
    counts = sum((summary.counts for summary in summaries), Counter[str]())
    seconds = time.monotonic() - began
    return f"I10: {made} reports, kills {dict(killing.kills)}, {dict(counts)}, {seconds:.0f} s"


class _Killing:
    """One victim after the other, each back at once, in step with what the phones get through."""

    def __init__(self, victims: Mapping[str, Sequence[Kill]], ledger: LedgerFile) -> None:
        self.kills: Counter[str] = Counter()
        self._victims = victims
        self._ledger = ledger
        self._stop = asyncio.Event()

    async def run(self, rounds: int) -> None:
        """Each kind once a round; a round that was begun is ended."""
        for _ in range(rounds):
            kinds = list(self._victims)
            _CHANCE.shuffle(kinds)
            for kind in kinds:
                await self._progress()
                await _CHANCE.choice(self._victims[kind])()
                self.kills[kind] += 1
            if self._stop.is_set():
                return

    async def _progress(self) -> None:
        """Some reports on; by chance none at all, so that kills fall into recoveries too."""
        wanted = self._ledger.receipts + _CHANCE.choice((0, A_KILL_PER, 2 * A_KILL_PER))
        while self._ledger.receipts < wanted:
            if self._stop.is_set():
                return
            await asyncio.sleep(0.01)
        await asyncio.sleep(_CHANCE.uniform(*PAUSE_S))

    async def end(self, killer: "asyncio.Task[None]") -> None:
        """After the last victim is back."""
        self._stop.set()
        await killer


def _again(victim: Server | Database) -> Kill:
    async def kill() -> None:
        await victim.kill()
        await victim.start()

    return kill


def _restart(database: Database) -> Kill:
    async def restart() -> None:
        await database.stop()
        await database.start()

    return restart


async def _load(api: Server, reports: int, ledger: LedgerFile) -> Summary:
    fleet = Fleet(
        url=api.url,
        people=WORKERS,
        phones=PHONES // 2,
        reports=reports,
        photos=1,
        pause_s=0.2,
        seconds=30.0 + reports * 5.0,
        patience=_PATIENCE,
    )
    return await drive(fleet, ledger, lambda _: None)
