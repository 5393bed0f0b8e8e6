"""Processes of the product that can be killed: `etong serve`, forked from one that knows the code.

Starting Python and importing everything takes seconds; a fork of a process that has done so takes
a tenth of one, so that a kill loop can kill.
"""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import orjson

from app.embedded.keepsakes import choose_ports, is_free

Sabotage = Callable[[], None]
"""Takes one guard out of the code of a server, before it starts (control runs)."""

START_S = 60.0
_TICK_S = 0.02
_PR_SET_PDEATHSIG = 1

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["pytest", "app.cli"])


class Server:
    """`etong serve --roles …` at one address for its whole life, over any number of kills."""

    def __init__(
        self,
        roles: str,
        environment: Mapping[str, str],
        log: Path,
        sabotage: Sabotage | None = None,
    ) -> None:
        (self.port,) = choose_ports(1, is_free)
        self.roles = roles
        self.log = log
        self.kills = 0
        self._environment = {**environment, "ETONG_PORT": str(self.port)}
        self._sabotage = sabotage
        self._process: ForkServerProcess | None = None
        log.touch()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        pid = self._process.pid if self._process else None
        assert pid is not None
        return pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    async def start(self) -> None:
        """Returns once it listens (or, without an API, once it works)."""
        said = self.log.stat().st_size
        arguments = (self.roles, self._environment, str(self.log), self._sabotage)
        self._process = _forking.Process(target=_serve, args=arguments)
        await asyncio.to_thread(self._process.start)
        deadline = time.monotonic() + START_S
        while b"\nready " not in self._said(said):
            assert self.alive, self._said(said).decode()
            assert time.monotonic() < deadline, f"{self.roles} did not start"
            await asyncio.sleep(_TICK_S)

    async def kill(self) -> None:
        """SIGKILL: nothing is said goodbye to."""
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)
            self.kills += 1
        await self.ended()

    async def ended(self) -> None:
        if self._process is not None:
            await asyncio.to_thread(self._process.join, START_S)

    async def stop(self) -> None:
        if self.alive:
            os.kill(self.pid, signal.SIGTERM)
            await self.ended()
        if self._process is not None:
            assert self._process.exitcode is not None, f"{self.roles} does not end"
            self._process.close()
            self._process = None

    def events(self, name: str) -> list[dict[str, object]]:
        """Lines of its log."""
        lines = self.log.read_bytes().splitlines()
        found = [orjson.loads(line) for line in lines if line.startswith(b"{")]
        return [line for line in found if line["event"] == name]

    def _said(self, since: int) -> bytes:
        with self.log.open("rb") as file:
            file.seek(since)
            return b"\n" + file.read()


def _serve(roles: str, environment: Mapping[str, str], log: str, sabotage: Sabotage | None) -> None:
    """In the forked child."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    for name in [name for name in os.environ if name.startswith("ETONG_")]:
        del os.environ[name]
    os.environ.update(environment)
    if sabotage is not None:
        sabotage()
    from app.cli import main  # noqa: PLC0415 - imported by the process this one was forked from

    sys.exit(main(["serve", "--roles", roles]))
