"""The database's schema: brought to head by `etong migrate`, never by a starting API."""

import asyncio
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

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
    """For readiness: the schema must have reached this code's head (newer is fine)."""
    async with resources.sessions.read() as session:
        found = await session.scalar(text("SELECT version_num FROM alembic_version"))
    return [] if found is not None and str(found) >= head() else ["schema"]
