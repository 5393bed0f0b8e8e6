"""Opening what a process holds for its life, and closing it again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.core.crypto import Keys
from app.core.db import Sessions, make_engine
from app.core.resources import Resources
from app.core.s3_store import S3Store
from app.core.sealed_store import SealedStore
from app.core.settings import Settings
from app.core.wakeups import PostgresWakeups


def opened_store(settings: Settings) -> SealedStore:
    """The real store for who needs nothing else of `Resources`."""
    keys = Keys(settings.secret_key.get_secret_value())
    return SealedStore(S3Store(settings.store), keys, settings.intake.part_bytes)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Resources]:
    """Resources against the real database and store; wakeups are listened to."""
    direct = settings.database.direct_url.get_secret_value()
    wakeups = PostgresWakeups(direct or settings.database.url.get_secret_value())
    resources = Resources(
        settings,
        Sessions(make_engine(settings.database)),
        S3Store(settings.store),
        wakeups,
    )
    wakeups.start()
    try:
        yield resources
    finally:
        await wakeups.close()
        await resources.store.close()
        await resources.sessions.close()
