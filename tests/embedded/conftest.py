import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from app.embedded.postgres import EmbeddedPostgres
from tests.embedded.probes import connect

SCRIPT = Path(__file__).with_name("owner_process.py")
REPOSITORY = Path(__file__).parents[2]


@dataclass
class Owner:
    process: subprocess.Popen[str]

    def read_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def facts(self) -> dict[str, Any]:
        line = self.read_line()
        if not line:
            stderr: IO[str] | None = self.process.stderr
            assert stderr is not None
            pytest.fail(f"the owner ended: {stderr.read()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def finish(self, timeout_s: float = 15.0) -> tuple[int, str, str]:
        output, errors = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, output, errors


class Owners:
    """Starts owner processes and leaves none behind."""

    def __init__(self) -> None:
        self._owners: list[Owner] = []

    def start(self, mode: str, home: Path, *extra: str) -> Owner:
        return self.start_as(None, sys.executable, mode, home, *extra)

    def start_as(self, user: int | None, python: str, mode: str, home: Path, *extra: str) -> Owner:
        packages = os.pathsep.join(
            [str(REPOSITORY), *(p for p in sys.path if "site-packages" in p)]
        )
        process = subprocess.Popen(
            [python, str(SCRIPT), mode, str(home), *extra],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={"PATH": os.defpath, "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,
            user=user,
            group=user if user is None else pwd.getpwuid(user).pw_gid,
            extra_groups=None if user is None else [],
        )
        owner = Owner(process)
        self._owners.append(owner)
        return owner

    def close(self) -> None:
        for owner in self._owners:
            if owner.process.poll() is None:
                owner.process.terminate()
            try:
                owner.process.communicate(timeout=12)
            except subprocess.TimeoutExpired:
                owner.process.kill()
                owner.process.communicate()


@pytest.fixture
def owners() -> Iterator[Owners]:
    started = Owners()
    yield started
    started.close()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that has run once, to be copied: making a cluster is the slow part."""
    home = tmp_path_factory.mktemp("template") / "home"
    postgres = EmbeddedPostgres(home)
    postgres.start()
    with connect(postgres.url) as connection:
        connection.execute("CREATE TABLE kept (what text)")
        connection.execute("INSERT INTO kept VALUES ('before')")
    postgres.stop()
    return home


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    return copy_home(template, tmp_path)


def copy_home(template: Path, folder: Path) -> Path:
    """A home of the test's own; its port is its own too."""
    copied = folder / "home"
    subprocess.run(["cp", "-a", str(template), str(copied)], check=True)
    (copied / "postgres" / "port").unlink()
    return copied


@pytest.fixture
def postgres(home: Path) -> Iterator[EmbeddedPostgres]:
    database = EmbeddedPostgres(home)
    database.start()
    yield database
    database.stop()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder every account can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="etong-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
