"""Opening what a process holds for its life, and closing it again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.core.db import Sessions, make_engine
from app.core.resources import Resources
from app.core.s3_store import S3Store
from app.core.settings import Settings
from app.core.wakeups import PostgresWakeups


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
