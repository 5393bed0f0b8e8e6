import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from pwd import getpwnam
from subprocess import Popen
from typing import IO

import psycopg

from app.embedded.binaries import postgres_install, reachable
from app.embedded.children import (
    Account,
    Ladder,
    Program,
    end,
    end_process,
    is_ours,
    last_line,
    log_end,
    log_size,
)
from app.embedded.keepsakes import (
    LOOPBACK,
    choose_ports,
    is_free,
    keep_ports,
    keep_secret,
    sync_folder,
    write_durably,
)
from app.embedded.ownership import EmbeddedError, FolderLock, open_folder

ROLE = DATABASE = "etong"
# Fast shutdown first; immediate shutdown loses nothing but the time of a recovery.
_LADDER: Ladder = ((signal.SIGINT, 2.5), (signal.SIGQUIT, 2.0))
_START_S = 120.0  # recovery after a crash replays up to 1 GB of log
_RETRY_S = 15.0
_TICK_S = 0.02
_NOBODY = Account(65534, 65534)
# The kernel's own link to the working folder: the server runs as an account that could not walk
# there through the administrator's private folders, and paths of any length fit.
_HERE = "/proc/self/cwd" if sys.platform == "linux" else ""

_OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a socket's path may have 107 bytes, a home has any length
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",  # a receipt survives power loss
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements and details carry names and report text, and logs must not.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_statement": "none",
}


class EmbeddedPostgres:
    """PostgreSQL from the wheel, data under `home`/postgres, on loopback with a kept password.

    As root it runs as the owner of its data folder (at first `nobody`), which PostgreSQL demands.
    """

    name = "database"

    def __init__(self, home: Path) -> None:
        self._folder = home.resolve() / "postgres"
        self._data = self._folder / "data"
        self._log = self._folder / "postgres.log"
        self._lock = FolderLock(self._folder / "lock")
        self._process: Popen[bytes] | None = None
        self._port = 0
        self._password = ""

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the product's database; valid from `start` on, also over restarts."""
        return f"postgresql+psycopg://{ROLE}:{self._password}@{LOOPBACK}:{self._port}/{DATABASE}"

    @property
    def pid(self) -> int:
        """Number of the postmaster, 0 before `start`."""
        return self._process.pid if self._process else 0

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Blocks until queries are answered. Again after the server died: same port and password.

        Call it from a thread that lives as long as the owner (`Program.death_signal`).
        Raises AlreadyRunning when another owner holds the folder, EmbeddedError when it fails.
        """
        open_folder(self._folder.parent)
        open_folder(self._folder)
        self._lock.take()
        try:
            self._settle_previous()
            self._password = keep_secret(self._folder / "password")
            account = _account(self._data)
            install = reachable(postgres_install(), account)
            if not self._data.exists():
                self._initialise(install, account)
            self._launch(install, account)
            self._create_database()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Blocks until the server is gone; without effect where none runs."""
        if self._process is not None:
            end(self._process, _LADDER)
            self._process = None
        self._lock.release()

    def _settle_previous(self) -> None:
        """Ends the server of a killed owner and takes away the note of a dead one.

        PostgreSQL itself takes a zombie, or a stranger with the same number, for a running server.
        Removing the note is safe: the shared memory key still guards the data folder.
        """
        note = self._data / "postmaster.pid"
        try:
            pid = int(note.read_text(encoding="ascii", errors="replace").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            pid = 0
        if pid and is_ours(pid, "postgres", self._data):
            end_process(pid, _LADDER)
        note.unlink(missing_ok=True)

    def _initialise(self, install: Path, account: Account | None) -> None:
        """Complete under another name first: a starter that is killed leaves no half a cluster."""
        draft = self._folder / "data.new"
        with suppress(EmbeddedError):
            self._initdb(install, account, draft, "--lc-ctype=C.UTF-8")
            return
        # A system without that locale; the trigram index then knows no Chinese characters.
        self._initdb(install, account, draft)

    def _initdb(self, install: Path, account: Account | None, draft: Path, *extra: str) -> None:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if account is not None:
            os.chown(draft, account.uid, account.gid)
        command = _initdb_command(install, draft, extra)
        program = Program(command, draft, self._log, signal.SIGKILL, account)
        start = log_size(self._log)
        with _password_file(self._password, account) as password:
            process = program.spawn(password)
        try:
            status = process.wait(_START_S)
        finally:
            end(process, ())
        if status:
            said = last_line(log_end(self._log, start))
            raise EmbeddedError(f"initdb failed: {said} / 数据库初始化失败，详见 {self._log}")
        draft.rename(self._data)
        sync_folder(self._folder)

    def _launch(self, install: Path, account: Account | None) -> None:
        """Starts the server, again while what a killed one left is still being let go."""
        fixed = self._port != 0
        ports = self._folder / "port"
        if not fixed:
            (self._port,) = keep_ports(ports, 1, is_free)
        deadline = time.monotonic() + _RETRY_S
        while True:
            said = self._try_launch(install, account)
            if said is None:
                return
            bound = "could not bind" in said or "could not create any TCP" in said
            if not (bound or "shared memory" in said) or time.monotonic() > deadline:
                reason = f"{last_line(said)} / 数据库无法启动，详见 {self._log}"
                raise EmbeddedError(f"the database does not start: {reason}")
            if bound and not fixed:
                (self._port,) = choose_ports(1, is_free)
                write_durably(ports, str(self._port))
            time.sleep(0.1)

    def _try_launch(self, install: Path, account: Account | None) -> str | None:
        """None once the server answers, else what it said before it died."""
        start = log_size(self._log)
        command = [str(install / "bin" / "postgres"), "-D", _HERE or str(self._data)]
        for option, value in {**_OPTIONS, "port": str(self._port)}.items():
            command += ["-c", f"{option}={value}"]
        self._process = Program(command, self._data, self._log, signal.SIGINT, account).spawn()
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return log_end(self._log, start)
            if self._is_ready():
                return None
            time.sleep(_TICK_S)
        raise EmbeddedError(f"the database is not ready after {_START_S:.0f} s / 数据库启动超时")

    def _is_ready(self) -> bool:
        """The server's own note says so in its eighth line, and is of this very process."""
        with suppress(FileNotFoundError):
            lines = (self._data / "postmaster.pid").read_text("ascii", "replace").split("\n")
            return lines[0] == str(self.pid) and len(lines) > 7 and lines[7].strip() == "ready"  # noqa: PLR2004 - said above
        return False

    def _create_database(self) -> None:
        try:
            with psycopg.connect(
                host=LOOPBACK,
                port=self._port,
                user=ROLE,
                password=self._password,
                dbname="postgres",
                autocommit=True,
            ) as connection:
                there = connection.execute(
                    "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)
                ).fetchone()
                if there is None:
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError as cause:
            raise EmbeddedError(
                f"the database refuses us: {last_line(str(cause))} / 数据库拒绝连接"
            ) from cause


def _account(data: Path) -> Account | None:
    """None: as ourselves. As root: the data folder's owner, so it stays usable for him."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (found := data.stat()).st_uid != 0:
        return Account(found.st_uid, found.st_gid)
    try:
        entry = getpwnam("nobody")
    except KeyError:
        return _NOBODY
    return Account(entry.pw_uid, entry.pw_gid)


def _initdb_command(install: Path, draft: Path, extra: Sequence[str]) -> list[str]:
    return [
        str(install / "bin" / "initdb"),
        f"--pgdata={_HERE or draft}",
        f"--username={ROLE}",
        "--pwfile=/dev/stdin",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
        *extra,
    ]


def _password_file(password: str, account: Account | None) -> IO[bytes]:
    """Open and without a name, owned by whom initdb runs as: it opens its input once more."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(password.encode() + b"\n")
    file.seek(0)
    if account is not None:
        os.fchown(file.fileno(), account.uid, account.gid)
    return file
