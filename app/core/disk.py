"""How full the disks are (F24): first files are refused, then reports, before the database stops.

PostgreSQL on a full disk panics and stays down, reads included, so the last of it is kept free.
"""

import os
from pathlib import Path

import structlog
from prometheus_client import Gauge

from app.core.errors import InsufficientStorage
from app.core.metrics import Metrics
from app.core.object_store import StoreFull
from app.core.resources import Resources

RETRY_AFTER_S = "600"
_FRESH_S = 1.0

_Usage = tuple[float, int]
"""Used share and free bytes, without what is reserved for root."""

log = structlog.get_logger()


class Disk:
    """`resources.the(Disk)`; asks each watched folder's file system at most once a second.

    Where database and store run on other machines and no folder is named, nothing is ever full.
    """

    def __init__(self, resources: Resources) -> None:
        settings = resources.settings
        self._limits = settings.disk
        self._folders = settings.disk.folders or ((settings.home,) if settings.embedded else ())
        self._clock = resources.clock
        self._asked_at = float("-inf")
        self._usages: list[_Usage] = []
        Gauge(
            "disk_used_ratio",
            "The fullest watched file system, 0 to 1",
            registry=resources.the(Metrics).registry,
        ).set_function(lambda: self.used)

    @property
    def used(self) -> float:
        """0 to 1, of the fullest watched file system, as `df` counts."""
        self._ask()
        return max((used for used, _ in self._usages), default=0.0)

    def check_reports(self) -> None:
        """Raises InsufficientStorage."""
        if self._is_full(self._limits.reports_at, self._limits.reports_free_bytes):
            raise InsufficientStorage(headers={"Retry-After": RETRY_AFTER_S})

    def check_files(self) -> None:
        """Raises StoreFull: a report is taken all the same, its files stay expected."""
        if self._is_full(self._limits.files_at, self._limits.files_free_bytes):
            raise StoreFull

    def _is_full(self, at: float, free: int) -> bool:
        self._ask()
        return any(used >= at and left < free for used, left in self._usages)

    def _ask(self) -> None:
        now = self._clock.now().timestamp()
        if 0 <= now - self._asked_at < _FRESH_S:
            return
        self._asked_at = now
        self._usages = [_usage(folder) for folder in self._folders]


def _usage(folder: Path) -> _Usage:
    try:
        told = os.statvfs(folder)
    except OSError as failure:
        log.warning("disk_unread", error=type(failure).__name__)
        return 0.0, 0  # the database will say it where this can't
    used = told.f_blocks - told.f_bfree
    return used / max(1, used + told.f_bavail), told.f_bavail * told.f_frsize
