"""F13, I10: the API is killed right before each thing it says, to the database, store or phone."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from app.simulation.ledger import LedgerFile
from tests.faults.servers import Sabotage, Server
from tests.faults.wire import new_report, note, posting, send, send_until_answered, token
from tests.faults.world import World

WHOLE = range(1, 61)
USUAL = range(1, 7)
"""A report is said in five sends; beyond them the server survives."""
_TIMES_UP_S = 20.0
_DYING_S = 0.5


@pytest.fixture(scope="module", autouse=True)
async def tracing() -> None:
    """Where no other process may be traced, there is nothing to walk with."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace")
    probe = await asyncio.create_subprocess_exec(
        "strace", "-f", "-o", "/dev/null", "true", stderr=asyncio.subprocess.PIPE
    )
    _, said = await probe.communicate()
    if probe.returncode:
        pytest.skip(f"strace may not trace here: {said.decode().strip()}")


async def test_f13_a_kill_before_any_send_leaves_all_or_nothing(
    world: World, tmp_path: Path
) -> None:
    await _walk_and_check(world, tmp_path / "ledger.jsonl", USUAL)


@pytest.mark.slow
async def test_f13_the_whole_walk(world: World, tmp_path: Path) -> None:
    await _walk_and_check(world, tmp_path / "ledger.jsonl", WHOLE)


async def _walk_and_check(world: World, path: Path, numbers: Iterable[int]) -> None:
    outcomes = await walk(world, path, numbers)
    await world.drained()
    reports = await world.count("SELECT count(*) FROM incidents")
    assert reports == outcomes.total()
    assert sum(count for name, count in outcomes.items() if name.startswith("killed")) >= 4
    assert await world.violations(path) == []
    swept = await world.swept()
    assert await world.objects() == reports
    assert world.bugs() == []
    print(f"F13: {dict(outcomes)}, {swept} strays swept")  # noqa: T201 - seen with -s


async def walk(
    world: World, path: Path, numbers: Iterable[int], sabotage: Sabotage | None = None
) -> Counter[str]:
    """A report for each number, its server killed before that send; what became of them."""
    other = await world.serve("api", sabotage)
    await world.serve("relay")
    signed = await token(other.url)
    outcomes: Counter[str] = Counter()
    api: Server | None = None
    with LedgerFile(path) as ledger:
        for number in numbers:
            if api is None:
                api = await world.serve("api", sabotage)
                # connections and caches are warm then: what is counted below is the report alone
                await send_until_answered(api.url, posting(new_report(0), signed))
                outcomes["sound"] += 1
            made = new_report(number)
            async with killed_before(api, number):
                first = await send(api.url, posting(made, signed))
            if first is None:
                await api.ended()
                api = None
            again = await send_until_answered(other.url, posting(made, signed))
            note(ledger, made, again)
            outcomes[f"{'killed' if first is None else 'survived'}, repeat {again.status}"] += 1
    return outcomes


@asynccontextmanager
async def killed_before(server: Server, number: int) -> AsyncIterator[None]:
    """The server is killed when one of its threads is about to send for the number-th time."""
    tracer = await asyncio.create_subprocess_exec(
        "strace", "-f", "-qq", "-p", str(server.pid), "-o", "/dev/null",
        "-e", "trace=sendto", "-e", f"inject=sendto:signal=SIGKILL:when={number}",
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _traced(server.pid, tracer)
        yield
    finally:
        await _let_go(tracer)


async def _let_go(tracer: asyncio.subprocess.Process) -> None:
    """It ends with its server. Told to let go of one that is dying, it may wait for ever."""
    for end in (None, tracer.terminate, tracer.kill):
        with suppress(TimeoutError, ProcessLookupError):
            if end is not None:
                end()
            await asyncio.wait_for(tracer.wait(), _DYING_S)
            return
    raise AssertionError("strace does not end")


async def _traced(pid: int, tracer: asyncio.subprocess.Process) -> None:
    """Wait until the kernel says that every thread has a tracer."""
    async with asyncio.timeout(_TIMES_UP_S):
        while not _traced_whole(pid):
            assert tracer.returncode is None, "strace could not attach"
            await asyncio.sleep(0.01)


def _traced_whole(pid: int) -> bool:
    return all(map(_has_tracer, Path(f"/proc/{pid}/task").iterdir()))


def _has_tracer(task: Path) -> bool:
    status = (task / "status").read_text(encoding="ascii")
    return "\nTracerPid:\t0\n" not in status
