"""Servers that the kernel kills right before a chosen system call, by strace."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.servers import Server

_TIMES_UP_S = 20.0
_DYING_S = 0.5


@dataclass(frozen=True)
class Place:
    """A system call. It is counted for each thread: the event loop's alone, or every one's."""

    call: str
    every_thread: bool = False


def _why_not() -> str | None:
    if shutil.which("strace") is None:
        return "strace is not installed: apt-get install strace"
    probe = subprocess.run(
        ["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, check=False
    )
    said = probe.stderr.decode(errors="replace").strip()
    return f"strace may not trace here: {said}" if probe.returncode else None


_REASON = _why_not()
needs_strace = pytest.mark.skipif(_REASON is not None, reason=_REASON or "")


@asynccontextmanager
async def killed_before(server: Server, place: Place, number: int) -> AsyncIterator[None]:
    """The server is killed when it is about to make that call for the number-th time."""
    tracer = await asyncio.create_subprocess_exec(
        "strace", "-qq", *(["-f"] if place.every_thread else []), "-p", str(server.pid),
        "-o", "/dev/null", "-e", f"trace={place.call}",
        "-e", f"inject={place.call}:signal=SIGKILL:when={number}",
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _attached(server, place, tracer)
        yield
    finally:
        await _let_go(tracer, server)


async def _let_go(tracer: asyncio.subprocess.Process, server: Server) -> None:
    """It ends with its server. Told to let go of one that is dying, it may wait for ever."""
    steps = (tracer.terminate, tracer.kill)
    for end in steps if server.alive else (None, *steps):
        with suppress(TimeoutError, ProcessLookupError):
            if end is not None:
                end()
            await asyncio.wait_for(tracer.wait(), _DYING_S)
            return
    await asyncio.wait_for(tracer.wait(), _TIMES_UP_S)


async def _attached(server: Server, place: Place, tracer: asyncio.subprocess.Process) -> None:
    """Wait until the kernel says that the threads have a tracer."""
    async with asyncio.timeout(_TIMES_UP_S):
        while not all(map(_has_tracer, _tasks(server.pid, place))):
            assert tracer.returncode is None, "strace could not attach"
            await asyncio.sleep(0.01)


def _tasks(pid: int, place: Place) -> Iterator[Path]:
    folder = Path(f"/proc/{pid}/task")
    return folder.iterdir() if place.every_thread else iter([folder / str(pid)])


def _has_tracer(task: Path) -> bool:
    try:
        status = (task / "status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
        return True
    return "\nTracerPid:\t0\n" not in status
