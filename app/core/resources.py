"""What a process opens once and hands to handlers, reactions and jobs."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar, cast

from app.core.clock import Clock, SystemClock
from app.core.crypto import Keys
from app.core.db import Sessions
from app.core.object_store import ObjectStore
from app.core.sealed_store import SealedStore
from app.core.settings import Settings
from app.core.wakeups import Wakeups

KindT = TypeVar("KindT")
KEYS = "keys"
"""Where a session has the keys with it: who writes what must be sealed need not be handed them."""


class Resources:
    """Opened by main and worker, closed by them; tests build it with doubles at the doors."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        store: ObjectStore,
        wakeups: Wakeups,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings
        self.sessions = sessions
        self.wakeups = wakeups
        self.clock = clock or SystemClock()
        self.keys = Keys(settings.secret_key.get_secret_value())
        sessions.info[KEYS] = self.keys
        self.store: ObjectStore = (
            store
            if isinstance(store, SealedStore)
            else SealedStore(store, self.keys, settings.intake.part_bytes)
        )
        self.draining = asyncio.Event()
        """Set once, when the process begins to end: streams say goodbye, readiness turns false."""
        self._kept: dict[Callable[..., Any], Any] = {}

    def the(self, make: Callable[["Resources"], KindT]) -> KindT:
        """The process's one instance that `make` builds (a feature's cache lives here)."""
        if make not in self._kept:
            self._kept[make] = make(self)
        return cast("KindT", self._kept[make])
