"""Everything a measurement runs against: own database, own store, own server processes.

All of it lives under a temporary home, listens on loopback and is ended by its process number.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import SecretStr

from app.accounts.access_tokens import read_access_token
from app.accounts.caller import Caller
from app.accounts.enrolment import create_person
from app.accounts.permissions import Role
from app.accounts.queries import unit_by_ref
from app.accounts.recognition import recognise
from app.areas.locate import AreaMap, AreaNode, current_map
from app.core.resources import Resources
from app.core.settings import DatabaseSettings, Settings, StoreSettings
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.seeding import DISTRICT, seed
from app.embedded.store import EmbeddedStore
from app.opening import opened
from app.schema import migrate
from tests.load.client import HOST
from tests.load.reports import Worker

PASSWORD = "Etong-bench-1"
PROCESSES = len(os.sched_getaffinity(0))
PRODUCT = (str(Path(sys.executable).with_name("etong")), "serve", "--roles", "api")
TEXTBOOK = (sys.executable, "-m", "tests.load.textbook")
_ROOT = Path(__file__).resolve().parents[2]
_LOG = "serve.log"
_STOP_S = 10


@dataclass(frozen=True, slots=True)
class House:
    """Settings that lead to the running database and store, and who may report there."""

    home: Path
    settings: Settings
    database: EmbeddedPostgres
    store: EmbeddedStore
    usernames: tuple[str, ...]
    points: tuple[AreaNode, ...]
    """A grid of each township, in the order of the names."""


@dataclass(frozen=True, slots=True)
class Served:
    ports: tuple[int, ...]
    pids: tuple[int, ...]


@contextmanager
def housed() -> Iterator[House]:
    """A fresh home with the reference district and one more grid worker a township.

    Call it from the main thread: the children end with the thread that started them.
    """
    home = Path(tempfile.mkdtemp(prefix="etong-bench-"))
    database, store = EmbeddedPostgres(home), EmbeddedStore(home)
    with ExitStack() as last_first:
        last_first.callback(shutil.rmtree, home, ignore_errors=True)
        for child in (database, store):
            last_first.callback(child.stop)
            child.start()
        settings = _settings(home, database, store)
        grids = asyncio.run(_settle_in(settings))
        names = tuple(f"bench-{township}" for township in grids)
        yield House(home, settings, database, store, names, tuple(grids.values()))


@contextmanager
def served(house: House, command: Sequence[str], processes: int = PROCESSES) -> Iterator[Served]:
    """So many processes of the command, each on a port of its own that it names itself."""
    with ExitStack() as last_first:
        started = [_started(house, command, last_first) for _ in range(processes)]
        ports = tuple(_port(house, process) for process in started)
        yield Served(ports, tuple(process.pid for process in started))


def workers(house: House, port: int) -> list[Worker]:
    """One signed-in grid worker a township."""
    with httpx.Client(base_url=f"http://{HOST}:{port}", trust_env=False) as client:
        return [
            Worker(_token(client, name), grid.lon or 0.0, grid.lat or 0.0)
            for name, grid in zip(house.usernames, house.points, strict=True)
        ]


async def caller_of(resources: Resources, worker: Worker) -> Caller:
    return await recognise(resources, read_access_token(resources, worker.token))


def _settings(home: Path, database: EmbeddedPostgres, store: EmbeddedStore) -> Settings:
    return Settings(
        _env_file=None,
        home=home,
        host=HOST,
        port=0,
        secret_key=SecretStr("bench-secret-key-of-more-than-32-characters"),
        rate_burst=10_000_000,
        rate_per_s=1_000_000,
        database=DatabaseSettings(url=SecretStr(database.url)),
        store=StoreSettings(
            endpoint_url=store.endpoint_url,
            access_key=SecretStr(store.access_key),
            secret_key=SecretStr(store.secret_key),
        ),
    )


async def _settle_in(settings: Settings) -> dict[str, AreaNode]:
    """Schema, bucket, reference district, workers. Returns a grid of each township."""
    await migrate(settings.database)
    async with opened(settings) as resources:
        await resources.store.prepare()
        at = resources.clock.now()
        async with resources.sessions.begin() as session:
            await seed(session, PASSWORD, at)
        grids = _grids(await current_map(resources))
        async with resources.sessions.begin() as session:
            for township, grid in grids.items():
                unit = await unit_by_ref(session, township)
                assert unit is not None, township
                await create_person(
                    session,
                    at=at,
                    username=f"bench-{township}",
                    name="巡查员",
                    holdings=[(Role.GRID_WORKER, unit.id)],
                    password=PASSWORD,
                    grid_codes=[grid.code],
                )
    return grids


def _grids(areas: AreaMap) -> dict[str, AreaNode]:
    """The first grid of each township."""
    return {
        township.code: next(
            grid
            for village in areas.children(township.code)
            for grid in areas.children(village.code)
            if grid.lon is not None
        )
        for township in areas.children(DISTRICT)
    }


def _token(client: httpx.Client, username: str) -> str:
    form = {"grant_type": "password", "username": username, "password": PASSWORD}
    answer = client.post("/v1/token", data=form)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def _started(house: House, command: Sequence[str], last_first: ExitStack) -> subprocess.Popen[str]:
    """Its log goes to a file, as in production; nothing of our own environment reaches it."""
    log = last_first.enter_context((house.home / _LOG).open("ab"))
    process = subprocess.Popen(
        command,
        cwd=house.home,
        env=_environment(house.settings),
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    last_first.callback(_end, process)
    return process


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "PYTHONPATH": str(_ROOT),
        "ETONG_HOST": settings.host,
        "ETONG_PORT": "0",
        "ETONG_WEBHOOKS__ALLOWED_NETWORKS": "127.0.0.0/8",
        "ETONG_SECRET_KEY": settings.secret_key.get_secret_value(),
        "ETONG_RATE_BURST": str(settings.rate_burst),
        "ETONG_RATE_PER_S": str(settings.rate_per_s),
        "ETONG_DATABASE__URL": settings.database.url.get_secret_value(),
        "ETONG_STORE__ENDPOINT_URL": settings.store.endpoint_url,
        "ETONG_STORE__ACCESS_KEY": settings.store.access_key.get_secret_value(),
        "ETONG_STORE__SECRET_KEY": settings.store.secret_key.get_secret_value(),
    }


def _port(house: House, process: subprocess.Popen[str]) -> int:
    """The port it names when it is ready. Raises RuntimeError with its last words."""
    assert process.stdout is not None
    word, _, port = process.stdout.readline().partition(" ")
    if word != "ready":
        raise RuntimeError((house.home / _LOG).read_text("utf-8", "replace")[-2000:])
    return int(port)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
