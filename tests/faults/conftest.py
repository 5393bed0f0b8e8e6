from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from app.embedded.store import EmbeddedStore
from tests.district import DatabaseServer
from tests.faults.world import World

_HERE = Path(__file__).parent
_FIGURES = pytest.StashKey[list[str]]()

Tell = Callable[[str], None]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long walks run when they are asked for: `-m slow`, `-m whole`."""
    asked = str(config.getoption("markexpr"))
    if "slow" in asked or "whole" in asked:
        return
    skipped = pytest.mark.skip(reason="a long walk: -m slow, or -m whole")
    for item in items:
        if item.path.is_relative_to(_HERE) and (
            item.get_closest_marker("slow") or item.get_closest_marker("whole")
        ):
            item.add_marker(skipped)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(_FIGURES, []):
        terminalreporter.write_line(line)


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Figures of a run, shown at its end: how often what was done to whom."""
    return request.config.stash.setdefault(_FIGURES, []).append


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    """The real object store; every world has a bucket of its own in it."""
    store = EmbeddedStore(tmp_path_factory.mktemp("store"))
    store.start()
    yield store
    store.stop()


@pytest.fixture
async def world(
    server: DatabaseServer, district_template: str, object_store: EmbeddedStore, tmp_path: Path
) -> AsyncIterator[World]:
    """The reference district on a database of the test's own, with real processes."""
    name = server.create(template=district_template)
    async with World.opened(server.url(name), object_store, tmp_path) as world:
        yield world
    server.drop(name)
