"""Serving: the roles of one process, from its start to its drained end."""

import asyncio
import contextlib
import gc
import socket
import sys
from collections.abc import Callable, Collection, Coroutine, Iterator
from typing import Any, Literal, TypeVar

import uvicorn

from app.areas.jobs import AreaImports
from app.core.metrics import Metrics
from app.core.resources import Resources
from app.core.settings import Role, Settings
from app.main import create_app
from app.notifications.delivered import Delivered
from app.opening import opened
from app.routing.jobs import DryRuns
from app.schema import head_reasons
from app.system.ages import register_ages
from app.system.health import Health
from app.worker import work

BACKLOG = 2048
UNSENT_BYTES = 128 * 1024
"""What the kernel holds of an answer that a link is too slow for."""
UPLOAD_GRACE_S = 25
"""How long uploads under way may go on after SIGTERM (U: 30 s at most)."""

Announce = Callable[[int], None]


ValueT = TypeVar("ValueT")


def run_fast(main: Coroutine[Any, Any, ValueT]) -> ValueT:
    """`asyncio.run` on uvloop, where there is one: it halves the cost of a request's I/O."""
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        return runner.run(main)


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not made for Windows

    return uvloop.new_event_loop


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: whoever owns the process tells it to stop."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # what is loaded by now stays: no collection has to look through it again
        gc.collect()
        gc.freeze()
        self._announce()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    settings: Settings,
    roles: Collection[Role],
    stop: asyncio.Event,
    announce: Announce,
    *,
    grace_s: int = UPLOAD_GRACE_S,
) -> None:
    """Run the roles until `stop` is set, then drain: streams say goodbye, requests are ended.

    `announce` is called with the port once it is listening (with 0 where no API runs here).
    """
    async with opened(settings) as resources:
        register_ages(resources)
        watching = asyncio.create_task(resources.the(Metrics).watch_loop(), name="loop-lag")
        background = asyncio.create_task(work(resources, roles, stop), name="worker")
        try:
            if "api" in roles:
                await _serve_api(resources, stop, announce, grace_s)
            else:
                announce(0)
                await stop.wait()
        finally:
            stop.set()
            watching.cancel()
            await background
            await resources.the(AreaImports).close()
            await resources.the(DryRuns).close()
            await resources.the(Delivered).close()


async def _serve_api(
    resources: Resources, stop: asyncio.Event, announce: Announce, grace_s: int
) -> None:
    settings = resources.settings
    resources.the(Health).checks.append(head_reasons)
    listening = _listen(settings.host, settings.port)
    server = _Server(
        _config(create_app(resources), settings, grace_s),
        lambda: announce(listening.getsockname()[1]),
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="api")
    asked = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, asked}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        resources.draining.set()
        resources.wakeups.wake_all()
        server.should_exit = True
        asked.cancel()
        await serving
        listening.close()


def _config(app: object, settings: Settings, grace_s: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI application
        http=_protocol(),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=grace_s,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=",".join(settings.trusted_proxies) or None,
    )


def _protocol() -> "type[asyncio.Protocol] | Literal['auto']":
    if sys.platform == "win32":
        return "auto"
    from app.core.joined_writes import JoinedWritesProtocol  # noqa: PLC0415 - its parser is not made for Windows

    return JoinedWritesProtocol


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # the protocol is named because asyncio turns Nagle's delay off only where it is: a body that
    # waits for the ack of its own header costs every answer on a kept connection 40 ms
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # inherited by every connection: who does not read would else cost 4 MB of the kernel's
        # memory, and be noticed only then (P10)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    listening.bind((host, port))
    listening.listen(BACKLOG)
    listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return listening
