import fcntl
import os
import time
from pathlib import Path
from typing import Self


class EmbeddedError(Exception):
    """A refusal for the operator: one line, English first, then Chinese."""


class AlreadyRunning(EmbeddedError):  # noqa: N818 - refusals are named after the fact
    """Another process owns this folder. `pid` is 0 while the winner has not yet written it."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.pid = pid
        super().__init__(
            f"already running as process {pid} on {folder}"
            f" / 该数据目录已有实例在运行（进程 {pid}），请先停止它"
        )


class FolderLock:
    """One owner per folder, held by the kernel: a killed owner lets go, whatever it left behind.

    The descriptor is close-on-exec, so no child keeps the lock of a dead owner.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> None:
        """Takes the lock or raises `AlreadyRunning`; taking it twice is taking it once."""
        if self._descriptor is not None:
            return
        descriptor = _open(self._path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise AlreadyRunning(self._path.parent, _winner(self._path)) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        self._descriptor = descriptor

    def release(self) -> None:
        # The file stays: removing it would let two starters lock two different files.
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as cause:
        raise EmbeddedError(
            f"cannot write {path}: {cause}; does another account own it? / 数据目录不可写"
        ) from cause


def _winner(path: Path) -> int:
    """The winner writes its number just after it has the lock: wait a moment for it."""
    for _ in range(50):
        text = path.read_text(encoding="ascii").strip()
        if text.isdigit():
            return int(text)
        time.sleep(0.01)
    return 0


def open_folder(path: Path) -> Path:
    """Makes the folder private to us where it is missing; an existing one keeps its mode."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as cause:
        raise EmbeddedError(f"cannot make {path}: {cause} / 无法创建数据目录") from cause
    return path
