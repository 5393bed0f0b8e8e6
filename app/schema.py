"""The database's schema: brought to head by `etong migrate`, never by a starting API."""

import asyncio
from functools import cache
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.core.resources import Resources
from app.core.settings import DatabaseSettings

_MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


async def migrate(settings: DatabaseSettings) -> None:
    """Bring the schema to head. Safe to run twice and by several at once."""
    await asyncio.to_thread(command.upgrade, configuration(settings), "head")


def configuration(settings: DatabaseSettings) -> Config:
    """Alembic's configuration for this database, past any pooler."""
    url = settings.direct_url.get_secret_value() or settings.url.get_secret_value()
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["url"] = url
    return config


@cache
def head() -> str:
    """The newest revision this code knows."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return ScriptDirectory.from_config(config).get_current_head() or ""


async def head_reasons(resources: Resources) -> list[str]:
    """For readiness: the schema must have reached this code's head (newer is fine).

    Over a connection of its own, and no more once it has: a used-up pool says nothing of a schema.
    """
    reached = resources.the(_Reached)
    if not reached.head:
        found = await asyncio.to_thread(_revision, resources.settings.database)
        reached.head = found is not None and found >= head()
    return [] if reached.head else ["schema"]


class _Reached:
    def __init__(self, _: Resources) -> None:
        self.head = False


def _revision(settings: DatabaseSettings) -> str | None:
    dsn = settings.url.get_secret_value().replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(
        dsn, prepare_threshold=None, application_name="etong-health", connect_timeout=2
    ) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None
