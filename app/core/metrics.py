"""What this process counts. One registry a process: `resources.the(Metrics)`.

A feature declares its own counters where it counts, in a class built by `resources.the`:
`Counter("uploads_total", "…", registry=resources.the(Metrics).registry)`. Labels are codes and
route templates, never ids, names or text. Source: prometheus.io/docs/practices/naming.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

if TYPE_CHECKING:
    from app.core.resources import Resources

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
_LAG_EVERY_S = 0.5
_LAG_KEPT = 30
_PROBE_S = 2.0
_FRESH = timedelta(seconds=5)

log = structlog.get_logger()

Read = Callable[["Resources"], Awaitable[float]]
"""Seconds, rows …; opens its own short session. 0 when there is nothing waiting."""


@dataclass(frozen=True, slots=True)
class _Age:
    gauge: Gauge
    read: Read


class Metrics:
    def __init__(self, resources: "Resources") -> None:
        self._resources = resources
        self._ages: dict[str, _Age] = {}
        self._read_at: datetime | None = None
        self._reading = asyncio.Lock()
        self._lags: deque[float] = deque(maxlen=_LAG_KEPT)
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "http_requests_total",
            "Requests answered, by route template (`unmatched`: refused before a route was found)",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "http_request_seconds",
            "From the head of a request to the last byte of its answer",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "http_requests_in_flight", "Requests being answered", registry=self.registry
        )
        self.problems = Counter(
            "http_problems_total", "Refusals by code", ("code",), registry=self.registry
        )
        self.clients_left = Counter(
            "http_clients_left_total",
            "Clients that went away before their answer was complete",
            ("route",),
            registry=self.registry,
        )
        self.loop_lag = Gauge(
            "event_loop_lag_seconds",
            "The longest the event loop kept anybody waiting in the last 15 s",
            registry=self.registry,
        )
        self.failed_reads = Counter(
            "metrics_reads_failed_total",
            "Gauges that could not be read when asked",
            ("gauge",),
            registry=self.registry,
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        known = method if method in _METHODS else "OTHER"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)

    def age(self, name: str, description: str, read: Read) -> None:
        """Register a gauge that is read from the database when somebody asks.

        `name` ends in its unit: `unrouted_oldest_seconds`. Every process answers with the same
        value; alarms take the maximum.
        """
        self._ages[name] = _Age(Gauge(name, description, registry=self.registry), read)

    async def ages(self) -> dict[str, float]:
        """Every registered gauge, at most 5 s old; NaN where it could not be read."""
        async with self._reading:
            now = self._resources.clock.now()
            if self._read_at is None or not timedelta(0) <= now - self._read_at < _FRESH:
                for name, age in self._ages.items():
                    age.gauge.set(await self._read(name, age))
                self._read_at = now
        return {name: self.registry.get_sample_value(name) or 0.0 for name in self._ages}

    async def _read(self, name: str, age: _Age) -> float:
        try:
            async with asyncio.timeout(_PROBE_S):
                return await age.read(self._resources)
        except Exception as failure:  # noqa: BLE001 - one gauge must not hide the others
            self.failed_reads.labels(name).inc()
            log.warning("gauge_unread", gauge=name, error=type(failure).__name__)
            return math.nan

    async def exposition(self) -> bytes:
        """The Prometheus text format."""
        await self.ages()
        return generate_latest(self.registry)

    async def watch_loop(self, every_s: float = _LAG_EVERY_S) -> None:
        """Measure the event loop's lag for ever; main runs it as a task and cancels it."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + every_s
            await asyncio.sleep(every_s)
            self._lags.append(max(0.0, loop.time() - due))
            self.loop_lag.set(max(self._lags))
