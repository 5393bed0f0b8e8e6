import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.core.clock import FakeClock
from app.core.db import Sessions, make_engine
from app.core.memory_store import MemoryStore
from app.core.resources import Resources
from app.core.settings import DatabaseSettings, Settings
from app.core.wakeups import MemoryWakeups
from app.main import create_app
from app.notifications.delivered import Delivered
from tests.conftest import NOON
from tests.district import DatabaseServer, District
from tests.guardrails.api import Api
from tests.guardrails.story import Story

ROOT = Path(__file__).resolve().parents[2]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-contract",
        action="store_true",
        help="write mobile_contract/ and the events' samples anew instead of comparing them",
    )


@pytest.fixture(scope="session")
def writing(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--write-contract", default=False))


@pytest.fixture(scope="session")
def app() -> FastAPI:
    """The application as it is described; nothing here asks a database."""
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
    settings = Settings(
        _env_file=None,
        secret_key=SecretStr("test-secret-key-of-more-than-32-characters"),
        database=DatabaseSettings(url=SecretStr(nowhere)),
    )
    clock = FakeClock(NOON)
    sessions = Sessions(make_engine(settings.database))
    return create_app(Resources(settings, sessions, MemoryStore(clock), MemoryWakeups(), clock))


@pytest.fixture(scope="session")
def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document as a client reads it."""
    described: dict[str, Any] = json.loads(json.dumps(app.openapi()))
    return described


@pytest.fixture(scope="session")
def api(document: dict[str, Any]) -> Api:
    return Api(document)


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file of the repository as git knows it, new ones included."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="session")
async def told(server: DatabaseServer, district_template: str) -> AsyncIterator[Story]:
    """A district in which one matter went all the way, and what was said meanwhile."""
    name = server.create(template=district_template)
    async with District.opened(server.url(name), NOON) as district:
        story = Story(district)
        await story.tell()
        # what has left for a phone is noted a moment later
        await district.resources.the(Delivered).write()
        yield story
    server.drop(name)
