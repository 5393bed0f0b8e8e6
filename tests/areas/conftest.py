"""A small division tree, the reference district, the web edge with a named caller."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.accounts.caller import Caller, Holding
from app.accounts.dependencies import identify
from app.accounts.permissions import Role
from app.areas.jobs import AreaImports
from app.areas.locate import AreaMap, AreaNode
from app.areas.polygons import inner_point
from app.areas.router import router
from app.core.clock import FakeClock
from app.core.db import Sessions, new_id
from app.core.http import install_errors
from app.core.memory_store import MemoryStore
from app.core.resources import Resources
from app.core.settings import Settings
from app.core.wakeups import MemoryWakeups

REFERENCE = Path("app/embedded/reference")

TREE = """code,name,level,parent_code
62,甘肃省,province,
6208,平凉市,city,62
620802,崆峒区,district,6208
T1,柳湖镇,township,620802
V1,永红村,village,T1
G1,永红村第1网格,grid,V1
G2,永红村第2网格,grid,V1
V2,柳湖村,village,T1
G3,柳湖村第1网格,grid,V2
"""


def square(
    code: str, west: float, south: float, size: float = 0.01, **facts: object
) -> dict[str, Any]:
    """A feature: a square with its south-west corner at (west, south), `size` degrees wide."""
    east, north = west + size, south + size
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "properties": {"code": code, **facts},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


def collection(*features: dict[str, Any]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


SQUARES = collection(
    square("G1", 106.66, 35.54), square("G2", 106.67, 35.54), square("G3", 106.67, 35.55)
)
"""G2 lies east of G1, G3 north of G2."""


def reference_files() -> list[dict[str, Any]]:
    return [orjson.loads(path.read_bytes()) for path in sorted(REFERENCE.glob("*.geojson"))]


@pytest.fixture(scope="session")
def district() -> AreaMap:
    """The reference district's map, without a database."""
    nodes, polygons = [], {}
    for file in reference_files():
        for number, feature in enumerate(file["features"]):
            facts = feature["properties"]
            lon, lat = inner_point(feature["geometry"])
            nodes.append(
                AreaNode(
                    code=facts["code"],
                    name=facts["name"],
                    level=facts["level"],
                    parent_code=facts["parent"] or None,
                    lon=lon,
                    lat=lat,
                    kind=facts.get("kind"),
                    households=facts.get("households"),
                    population=None,
                    id=number,
                )
            )
            if facts["level"] == "grid":
                polygons[facts["code"]] = feature["geometry"]
    return AreaMap(nodes, polygons)


@pytest.fixture
def resources(settings: Settings, sessions: Sessions, clock: FakeClock) -> Resources:
    return Resources(settings, sessions, MemoryStore(), MemoryWakeups(), clock)


class Cast:
    """Who is asking; tests change `role`."""

    def __init__(self, clock: FakeClock) -> None:
        self.role = Role.ADMINISTRATOR
        self.id = new_id()
        self._clock = clock

    def caller(self) -> Caller:
        held = Holding(
            role=self.role,
            unit_id=new_id(),
            unit_code="district-centre",
            unit_name="崆峒区综治中心",
            level="district",
            kind="centre",
            area_code="620802",
        )
        return Caller(
            id=self.id,
            name="管理员",
            kind="person",
            session_id=new_id(),
            terminal_id=None,
            holdings=(held,),
            grid_codes=frozenset(),
            expires_at=self._clock.now() + timedelta(minutes=15),
        )


@pytest.fixture
def cast(clock: FakeClock) -> Cast:
    return Cast(clock)


@pytest.fixture
async def client(resources: Resources, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(resources, cast) as client:
        yield client


@pytest.fixture
async def committing(
    settings: Settings, engine: AsyncEngine, clock: FakeClock
) -> AsyncIterator[Resources]:
    """Resources with real commits, for what runs beside a request; cleaned up afterwards."""
    resources = Resources(settings, Sessions(engine), MemoryStore(), MemoryWakeups(), clock)
    yield resources
    await resources.the(AreaImports).close()
    async with resources.sessions.begin() as session:
        # the audit trail is append-only, for everybody who does not say this
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        for table in ("areas", "area_imports", "area_revisions", "audit_entries"):
            await session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names above


@pytest.fixture
async def live_client(committing: Resources, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(committing, cast) as client:
        yield client


@asynccontextmanager
async def open_client(resources: Resources, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    install_errors(app)
    app.state.resources = resources
    app.include_router(router, prefix="/v1")
    app.dependency_overrides[identify] = cast.caller
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/v1") as client:
        yield client
