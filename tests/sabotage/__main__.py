"""Take out one guard at a time and demand that its test fails: `python -m tests.sabotage`.

Works on a copy of the tree. A guard whose tests still pass has no test: exit code 1. `--ten` tries
the ten most important; names try only these.
"""

import argparse
import compileall
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode

from app.embedded.postgres import EmbeddedPostgres
from tests.sabotage.guard import EditDoesNotFit, Guard
from tests.sabotage.guards import GUARDS, TEN

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("app", "docs", "tests", "migrations", "mobile_contract", "pyproject.toml", "alembic.ini")
LONGEST_S = 180
DATABASE = "ETONG_TEST_DATABASE_URL"
FAILURE = re.compile(r"\b\d+ failed\b|^_* ERROR at teardown of ", re.MULTILINE)
PLUGINS = ("-p", "no:schemathesis", "-p", "tests.sabotage.here")


@dataclass(frozen=True)
class Ran:
    code: int | None
    """pytest's exit code; None: it took too long."""
    output: str
    seconds: float

    @property
    def passed(self) -> bool:
        return self.code == 0

    @property
    def failed(self) -> bool:
        """In a test or in what it leaves behind: not in its set-up, collection or command line."""
        return self.code == 1 and FAILURE.search(self.output) is not None


class Copy:
    """A copy of the tree in which one file at a time may be edited."""

    def __init__(self, folder: Path, database: str) -> None:
        self.root = folder
        self._environment = {**os.environ, "PYTHONPATH": str(folder), DATABASE: database}
        for name in COPIED:
            source, target = ROOT / name, folder / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        # compiled files that go by the source's content: an edit within the same second counts
        for name in ("app", "migrations"):
            mode = PycInvalidationMode.CHECKED_HASH
            compileall.compile_dir(folder / name, quiet=2, invalidation_mode=mode)

    def run(self, tests: Sequence[str]) -> Ran:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short", *PLUGINS, *tests]
        began = time.monotonic()
        with subprocess.Popen(
            command,
            cwd=self.root,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=LONGEST_S)
                code = process.returncode
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output, code = process.communicate()[0], None
        return Ran(code, output, time.monotonic() - began)

    @contextmanager
    def without(self, guard: Guard) -> Iterator[None]:
        file = self.root / guard.file
        whole = file.read_text("utf-8")
        file.write_text(guard.sabotaged(self.root), "utf-8")
        try:
            yield
        finally:
            file.write_text(whole, "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sabotage", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="guard")
    parser.add_argument("--ten", action="store_true", help="the ten most important only")
    given = parser.parse_args()
    names = {*given.names, *(TEN if given.ten else ())}
    chosen = [guard for guard in GUARDS if not names or guard.name in names]
    if unknown := names - {guard.name for guard in GUARDS}:
        parser.error(f"no such guard: {', '.join(sorted(unknown))}")
    try:
        for guard in chosen:
            guard.sabotaged(ROOT)
    except EditDoesNotFit as moved:
        _say(f"the guard stands elsewhere now: {moved}")
        return 2
    with tempfile.TemporaryDirectory() as folder, _database(Path(folder)) as url:
        return _try_all(Copy(Path(folder) / "copy", url), chosen)


@contextmanager
def _database(folder: Path) -> Iterator[str]:
    """One server for all runs: the one given, else an embedded one of our own."""
    given = os.environ.get(DATABASE)
    if given:
        yield given
        return
    embedded = EmbeddedPostgres(folder / "postgres")
    embedded.start()
    try:
        yield embedded.url
    finally:
        embedded.stop()


def _try_all(copy: Copy, chosen: Sequence[Guard]) -> int:
    began = time.monotonic()
    whole = copy.run(sorted({test for guard in chosen for test in guard.tests}))
    _say(f"{whole.seconds:4.0f} s  with every guard in its place the tests pass: {whole.passed}")
    if not whole.passed:
        _say(whole.output)
        return 2
    verdicts = {guard.name: _try(copy, guard) for guard in chosen}
    wrong = [name for name, verdict in verdicts.items() if verdict != "caught"]
    _say(f"{time.monotonic() - began:4.0f} s  {len(chosen) - len(wrong)} of {len(chosen)} caught")
    for name in wrong:
        _say(f"        {verdicts[name]}: {name}")
    return 1 if wrong else 0


def _try(copy: Copy, guard: Guard) -> str:
    with copy.without(guard):
        ran = copy.run(guard.tests)
    verdict = "caught" if ran.failed else "SURVIVED" if ran.passed else "NO VERDICT"
    _say(f"{ran.seconds:4.0f} s  {verdict:10}  {guard.name:42}  {', '.join(guard.tests)}")
    if verdict == "NO VERDICT":
        _say(f"pytest ended with {ran.code}\n{ran.output[-3000:]}")
    return verdict


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
