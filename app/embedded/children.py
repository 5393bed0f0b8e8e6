"""Child processes that neither outlive their owner nor die before it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_LINUX = sys.platform == "linux"
_TIED = Path(__file__).with_name("tied.py")
_LOG_LIMIT = 16 * 1024 * 1024
_TICK_S = 0.01

Ladder = Sequence[tuple[signal.Signals, float]]
"""What to send, and how many seconds to wait for the end after it."""


@dataclass(frozen=True)
class Account:
    """Whom a child runs as, in numbers: a container may know no names."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Program:
    """How a child is started. It works in `folder`, which may lie where only we can go."""

    command: Sequence[str]
    folder: Path
    log: Path
    death_signal: signal.Signals
    """Sent by the kernel to the child when the thread that started it ends: start children from
    a thread that lives as long as the owner."""
    account: Account | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def spawn(self, stdin: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        """Starts it in a session of its own, so that the terminal's Ctrl-C is for the owner only.

        A program that cannot be executed ends at once and says why in the log.
        """
        _limit_log(self.log)
        with self.log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - our own programs with our own arguments
                [*self._tied(), *self.command],
                cwd=self.folder,
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=output,
                stderr=output,
                env={"PATH": os.defpath, "LC_ALL": "C", **self.environment},
                start_new_session=True,
            )

    def _tied(self) -> list[str]:
        account = self.account or Account(-1, -1)
        numbers = (os.getpid(), int(self.death_signal), account.uid, account.gid)
        return [sys.executable, "-I", "-S", str(_TIED), *map(str, numbers)]


def _limit_log(path: Path) -> None:
    with suppress(FileNotFoundError):
        if path.stat().st_size > _LOG_LIMIT:
            path.replace(path.with_name(path.name + ".old"))


def end(process: subprocess.Popen[bytes], ladder: Ladder) -> None:
    """Ends and reaps our child; returns once it is gone."""
    end_process(process.pid, ladder)
    process.wait()


def end_process(pid: int, ladder: Ladder) -> None:
    """Climbs the ladder until the process is gone; SIGKILL is the last step of every ladder."""
    for number, patience_s in (*ladder, (signal.SIGKILL, 5.0)):
        if not is_running(pid):
            return
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        _wait_gone(pid, patience_s)


def _wait_gone(pid: int, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(_TICK_S)


def is_running(pid: int) -> bool:
    """Whether the process exists and works. A zombie is dead: in a container nobody may reap it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    if not _LINUX:
        return _ps(pid, "state")[:1] in {"", "Z"}
    try:
        # The name in parentheses may itself hold spaces and parentheses.
        after_name = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2]
        # A first thread that has ended looks like one while others still hold ports and locks.
        threads = len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208 - only to be counted
    except OSError:
        return True
    return after_name.split()[0] in {"Z", "X"} and threads <= 1


def is_ours(pid: int, program: str, folder: Path) -> bool:
    """Whether a running process is that program at work in that folder, and not a reused number."""
    if not is_running(pid):
        return False
    if not _LINUX:
        command = _ps(pid, "command")
        return program in command and str(folder) in command
    with suppress(OSError):
        executable = Path(f"/proc/{pid}/exe").readlink().name.removesuffix(" (deleted)")
        return executable == program and Path(f"/proc/{pid}/cwd").samefile(folder)
    return False


def _ps(pid: int, column: str) -> str:
    done = subprocess.run(  # noqa: S603 - fixed command, a number
        ["/bin/ps", "-o", f"{column}=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def log_end(path: Path, start: int) -> str:
    """The log's text from byte `start` on, at most its last 4,000 bytes."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(min(start, size), size - 4000))
        return file.read().decode("utf-8", "replace")
    return ""


def last_line(text: str) -> str:
    """What a program said last, for a message of one line."""
    return (text.strip().splitlines() or ["(nothing in its log)"])[-1].strip()


def log_size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
