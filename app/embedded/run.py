import asyncio
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from ipaddress import ip_network
from pathlib import Path
from typing import Protocol, Self

from pydantic import SecretStr

from app.core.settings import Settings
from app.embedded.keepsakes import is_free, keep_secret
from app.embedded.ownership import EmbeddedError, FolderLock, open_folder
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.store import EmbeddedStore

Prepare = Callable[[Settings], Awaitable[None]]
"""Brings schema, bucket and reference data up; returns when all is there."""
Announce = Callable[[int], None]
"""To be called once with the port, when it is listening."""
Serve = Callable[[Settings, asyncio.Event, Announce], Awaitable[None]]
"""Runs all roles until the event is set, drains and returns; it has `DRAIN_S` for that."""

# Drain, store and database together stay below the ten seconds promised to the operator.
DRAIN_S = 4.0
RESTARTS = 5
RESTART_WINDOW_S = 60.0
_WATCH_S = 0.2


class Child(Protocol):
    """What the owner keeps alive; `start` and `stop` block."""

    @property
    def name(self) -> str: ...
    @property
    def alive(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


class Kept:
    """A child with a thread of its own for its whole life.

    The kernel ends a child when the thread that started it ends, and the event loop must go on
    while one starts. One thread also keeps a stop behind a start that is under way.
    """

    def __init__(self, child: Child) -> None:
        self.child = child
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=child.name)
        self._deaths: deque[float] = deque()

    async def start(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self.child.start)

    async def stop(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self.child.stop)
        self._thread.shutdown()

    async def revive(self) -> None:
        """Starts the dead child again.

        Raises EmbeddedError when it keeps dying, or when a start, which itself tries again for as
        long as that makes sense, has failed.
        """
        self._count_death()
        _say(f"the {self.child.name} died, starting it again / 子进程异常退出，正在自动重启")
        await self.start()

    def _count_death(self) -> None:
        now = time.monotonic()
        self._deaths.append(now)
        while self._deaths[0] < now - RESTART_WINDOW_S:
            self._deaths.popleft()
        if len(self._deaths) > RESTARTS:
            raise EmbeddedError(
                f"the {self.child.name} died {len(self._deaths)} times within a minute, giving up"
                " / 子进程反复异常退出，已放弃重启，请查看数据目录下的日志"
            )


class Household:
    """The children of one owner, in the order in which they are stopped last to first."""

    def __init__(self, database: EmbeddedPostgres | None, store: EmbeddedStore | None) -> None:
        self._database, self._store = database, store
        self._kept = [Kept(child) for child in (database, store) if child is not None]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Only what is not given: a given database or store is used as it is."""
        given_database = settings.database.url.get_secret_value()
        return cls(
            None if given_database else EmbeddedPostgres(settings.home),
            None if settings.store.endpoint_url else EmbeddedStore(settings.home),
        )

    async def open(self) -> None:
        await asyncio.gather(*(kept.start() for kept in self._kept))

    async def close(self) -> None:
        """The store before the database, each one even where another fails."""
        async with AsyncExitStack() as last_first:
            for kept in self._kept:
                last_first.push_async_callback(kept.stop)

    async def watch(self) -> None:
        """Never returns; raises EmbeddedError when a child keeps dying."""
        while True:
            await asyncio.sleep(_WATCH_S)
            for kept in self._kept:
                if not kept.child.alive:
                    await kept.revive()

    def settle(self, settings: Settings) -> Settings:
        """The settings with the addresses and secrets of what runs here."""
        update: dict[str, object] = {"embedded": True}
        if self._database is not None:
            url = SecretStr(self._database.url)
            update["database"] = settings.database.model_copy(update={"url": url})
        if self._store is not None:
            update["store"] = settings.store.model_copy(
                update={
                    "endpoint_url": self._store.endpoint_url,
                    "access_key": SecretStr(self._store.access_key),
                    "secret_key": SecretStr(self._store.secret_key),
                }
            )
        return settings.model_copy(update=update)


async def run(settings: Settings, prepare: Prepare, serve: Serve) -> int:
    """Owns everything under `settings.home` until SIGINT or SIGTERM; returns the exit status.

    0: stopped when asked. 1: refused or given up, the reason stands on standard error.
    """
    home = settings.home.resolve()
    lock = FolderLock(home / "lock")
    try:
        open_folder(home)
        lock.take()
        _refuse_taken_port(settings)
        await _keep_house(_at_home(settings, home), prepare, serve)
    except EmbeddedError as refusal:
        _say(str(refusal))
        return 1
    finally:
        lock.release()
    return 0


def _at_home(settings: Settings, home: Path) -> Settings:
    """Own secret where none is given; receivers on loopback allowed, for the demonstration."""
    update: dict[str, object] = {"home": home}
    if not settings.secret_key.get_secret_value():
        update["secret_key"] = SecretStr(keep_secret(home / "secret_key"))
    loopback = ip_network("127.0.0.0/8")
    networks = settings.webhooks.allowed_networks
    if loopback not in networks:
        update["webhooks"] = settings.webhooks.model_copy(
            update={"allowed_networks": (*networks, loopback)}
        )
    return settings.model_copy(update=update)


def _refuse_taken_port(settings: Settings) -> None:
    if settings.port and not is_free(settings.port, settings.host):
        raise EmbeddedError(
            f"cannot listen on {settings.host}:{settings.port}, choose another ETONG_PORT"
            " / 端口无法监听，请用 ETONG_PORT 指定其他端口"
        )


async def _keep_house(settings: Settings, prepare: Prepare, serve: Serve) -> None:
    stop = _stop_on_signals()
    household = Household.of(settings)
    try:
        await household.open()
        if not stop.is_set():
            await _live(household, household.settle(settings), stop, prepare, serve)
    finally:
        await household.close()


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _live(
    household: Household, settings: Settings, stop: asyncio.Event, prepare: Prepare, serve: Serve
) -> None:
    """Until one of three ends: asked to stop, the server ended, a child cannot be kept alive."""
    work = asyncio.create_task(_work(settings, stop, prepare, serve))
    watch = asyncio.create_task(household.watch())
    asked = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({work, watch, asked}, return_when=asyncio.FIRST_COMPLETED)
        ended_by_itself = work.done() and not stop.is_set()
    finally:
        stop.set()
        await _drained(work)
        watch.cancel()
    outcomes = await asyncio.gather(work, watch, asked, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    if ended_by_itself:
        raise EmbeddedError("the server ended by itself / 服务意外结束")


async def _work(settings: Settings, stop: asyncio.Event, prepare: Prepare, serve: Serve) -> None:
    await prepare(settings)
    if not stop.is_set():
        await serve(settings, stop, lambda port: _announce(settings, port))


async def _drained(work: asyncio.Task[None]) -> None:
    await asyncio.wait({work}, timeout=DRAIN_S)
    if work.cancel():
        await asyncio.wait({work}, timeout=0.5)


def _announce(settings: Settings, port: int) -> None:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    print(f"ready {url}")
    print(f"  docs      {url}/docs  (接口文档)")
    print("  accounts  worker-yonghong, desk-yonghong, desk-liuhu, police-liuhu, admin, …;")
    print("            password: ETONG_DEMO_PASSWORD, by default Etong-demo-1  (演示账号)")
    print(f"  data      {settings.home}  (数据目录)", flush=True)


def _say(line: str) -> None:
    print(f"etong: {line}", file=sys.stderr, flush=True)
