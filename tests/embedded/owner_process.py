"""An owner to be killed: `owner_process.py MODE HOME`, tells in JSON what it started."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from pydantic import SecretStr

from app.core.settings import DatabaseSettings, Settings, StoreSettings
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.run import Announce, run
from app.embedded.store import EmbeddedStore

GIVEN = {
    "database": DatabaseSettings(url=SecretStr("postgresql+psycopg://somewhere/else")),
    "store": StoreSettings(endpoint_url="http://somewhere.else"),
}


def tell(**facts: object) -> None:
    sys.stdout.write(json.dumps({"owner": os.getpid(), **facts}) + "\n")
    sys.stdout.flush()


def keep_children(home: Path) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    postgres, store = EmbeddedPostgres(home), EmbeddedStore(home)
    postgres.start()
    store.start()
    tell(
        database=postgres.url,
        store=store.endpoint_url,
        keys=[store.access_key, store.secret_key],
        pids=[postgres.pid, store.pid],
    )
    signal.sigwait({signal.SIGTERM})
    store.stop()
    postgres.stop()


async def prepare(settings: Settings) -> None:
    tell(
        database=settings.database.url.get_secret_value(),
        store=settings.store.endpoint_url,
        keys=[
            settings.store.access_key.get_secret_value(),
            settings.store.secret_key.get_secret_value(),
        ],
        secret=settings.secret_key.get_secret_value(),
        networks=[str(network) for network in settings.webhooks.allowed_networks],
        embedded=settings.embedded,
    )


async def serve(settings: Settings, stop: asyncio.Event, announce: Announce) -> None:
    announce(settings.port or 8000)
    await stop.wait()


async def end_by_itself(settings: Settings, stop: asyncio.Event, announce: Announce) -> None:
    del settings, stop, announce


def main() -> int:
    mode, home = sys.argv[1], Path(sys.argv[2])
    if mode == "children":
        keep_children(home)
        return 0
    settings = Settings(_env_file=None, home=home, port=0)
    if mode != "run":
        settings = settings.model_copy(update=GIVEN)
    return asyncio.run(run(settings, prepare, end_by_itself if mode == "run-short" else serve))


if __name__ == "__main__":
    sys.exit(main())
