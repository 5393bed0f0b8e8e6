"""Health and metrics. Mounted at the root, outside `/v1`: machines ask for them."""

import math
from importlib.metadata import version

from fastapi import APIRouter, Response
from sqlalchemy.pool import QueuePool

from app.accounts.dependencies import CurrentCaller
from app.core.disk import Disk
from app.core.http import TheResources, problems
from app.core.metrics import CONTENT_TYPE, Metrics
from app.core.resources import Resources
from app.system.errors import NotReady
from app.system.health import Condition, Health
from app.system.schemas import HealthDetail, Liveness, PoolView, Readiness

RETRY_AFTER_S = "2"

router = APIRouter(tags=["system"])


@router.get("/health/live")
async def show_liveness() -> Liveness:
    """The process answers. Touches nothing."""
    return Liveness()


@router.get("/health/ready", responses=problems(NotReady))
async def show_readiness(resources: TheResources) -> Readiness:
    """Requests may come here: the database answers, its schema is ours, no drain, no seeding."""
    condition = await resources.the(Health).condition()
    if condition.reasons:
        raise NotReady(
            headers={"Retry-After": RETRY_AFTER_S},
            reasons=condition.reasons,
            store=condition.store,
        )
    return Readiness.model_validate({"store": condition.store})


@router.get("/health/detail")
async def show_health(resources: TheResources, caller: CurrentCaller) -> HealthDetail:  # noqa: ARG001 - signing in is the point
    """What the process knows about itself."""
    condition = await resources.the(Health).condition()
    ages = await resources.the(Metrics).ages()
    return _detail(resources, condition, ages)


@router.get("/metrics", include_in_schema=False)
async def show_metrics(resources: TheResources) -> Response:
    """Prometheus' text format; the proxy keeps it from the outside."""
    body = await resources.the(Metrics).exposition()
    return Response(body, headers={"Content-Type": CONTENT_TYPE})


def _detail(resources: Resources, condition: Condition, ages: dict[str, float]) -> HealthDetail:
    health = resources.the(Health)
    lag = resources.the(Metrics).registry.get_sample_value("event_loop_lag_seconds") or 0.0
    return HealthDetail.model_validate(
        {
            "status": "not-ready" if condition.reasons else "ready",
            "reasons": condition.reasons,
            "store": condition.store,
            "pool": _pool(resources),
            "disk_used": round(resources.the(Disk).used, 3),
            "loop_lag_ms": round(lag * 1000, 1),
            "ages": {name: None if math.isnan(age) else age for name, age in ages.items()},
            "version": version("etong"),
            "started_at": health.started_at,
            "server_time": resources.clock.now(),
        }
    )


def _pool(resources: Resources) -> PoolView:
    pool = resources.sessions.engine.pool
    if not isinstance(pool, QueuePool):
        return PoolView(size=0, in_use=0)
    return PoolView(size=pool.size(), in_use=max(0, pool.checkedout()))
