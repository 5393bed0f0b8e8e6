"""Point → grid, and the division tree: an immutable picture in memory, kept fresh by revision."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import structlog
from sqlalchemy import case, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.areas.grid_index import GridIndex
from app.areas.models import Area, AreaRevision, Kind, Level
from app.core.resources import Resources

BLURRED_M = 100.0
"""A fix less accurate than this names no grid for certain."""
_CANDIDATES = 8
_OUTSIDE_REACH_M = 2_000.0
_WIDEST_REACH_M = 5_000.0
_LOOK_AGAIN = timedelta(seconds=2)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AreaNode:
    """The current version of an area, without its polygon. lon, lat: an inner point, WGS-84."""

    code: str
    name: str
    level: Level
    parent_code: str | None
    lon: float | None
    lat: float | None
    kind: Kind | None
    households: int | None
    population: int | None
    id: int
    """Of this version."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Codes from the province down to the area itself; None where a level is missing or lower."""

    province: str | None = None
    city: str | None = None
    district: str | None = None
    township: str | None = None
    village: str | None = None
    grid: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    code: str
    distance_m: float
    """0 for a grid that holds the point."""


@dataclass(frozen=True, slots=True)
class Located:
    """`border_distance_m`: to the nearest other grid, None beyond 20 km.

    Uncertain: outside all grids, a fix worse than 100 m, or another grid no farther than the
    accuracy. `candidates` are then the grids that come into question, the nearest first.
    """

    grid_code: str | None
    uncertain: bool
    border_distance_m: float | None
    candidates: tuple[Candidate, ...]


class AreaMap:
    """The current areas of one revision. Immutable: shared by all requests of a process."""

    def __init__(
        self,
        nodes: Iterable[AreaNode],
        polygons: Mapping[str, Mapping[str, Any]],
        revision: int = 0,
    ) -> None:
        """`polygons`: GeoJSON geometries of the grids, WGS-84, by code."""
        self.revision = revision
        self._nodes = {node.code: node for node in nodes}
        self._index = GridIndex(polygons)
        self._lines = {code: self._line_up(code) for code in self._nodes}
        self._children: dict[str | None, list[AreaNode]] = defaultdict(list)
        below: dict[str, set[str]] = defaultdict(set)
        for code in sorted(self._nodes):
            self._children[self._nodes[code].parent_code].append(self._nodes[code])
            for ancestor in self._lines[code]:
                below[ancestor].add(code)
        self._below = {code: frozenset(codes) for code, codes in below.items()}

    @classmethod
    async def load(cls, session: AsyncSession) -> "AreaMap":
        """Reads the current areas and builds the picture in a thread."""
        # the revision first: a change in between makes the picture look older than it is, and it
        # is drawn again
        revision = await read_revision(session)
        polygon = case((Area.level == "grid", Area.geometry))
        columns = [getattr(Area, name) for name in AreaNode.__dataclass_fields__]
        rows = await session.execute(select(*columns, polygon).where(Area.valid_to.is_(None)))
        return await asyncio.to_thread(cls._drawn, rows.all(), revision)

    @classmethod
    def _drawn(cls, rows: Iterable[Any], revision: int) -> "AreaMap":
        pairs = [(AreaNode(*row[:-1]), row[-1]) for row in rows]
        polygons = {node.code: polygon for node, polygon in pairs if polygon is not None}
        return cls((node for node, _ in pairs), polygons, revision)

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, code: str) -> AreaNode | None:
        return self._nodes.get(code)

    def name(self, code: str) -> str:
        """The code itself where the area is unknown."""
        node = self._nodes.get(code)
        return code if node is None else node.name

    def lineage(self, code: str) -> Lineage:
        """All None for an unknown code."""
        line = self._lines.get(code, ())
        return Lineage(**{self._nodes[step].level: step for step in line})

    def subtree(self, code: str) -> frozenset[str]:
        """The area and everything below it; empty for an unknown code."""
        return self._below.get(code, frozenset())

    def children(self, code: str | None) -> tuple[AreaNode, ...]:
        """Directly below, in order of code; of None: the roots."""
        return tuple(self._children.get(code, ()))

    def is_below(self, code: str, ancestor: str) -> bool:
        """True for the ancestor itself too, False for unknown codes."""
        return ancestor in self._lines.get(code, ())

    def grid_at(self, lon: float, lat: float, accuracy_m: float | None = None) -> Located:
        """The grid of a WGS-84 point. Without an accuracy only the point itself counts."""
        holding = self._index.holding(lon, lat)
        grid = holding[0] if holding else None
        border = self._index.nearest(lon, lat, grid)
        accuracy = max(accuracy_m or 0.0, 0.0)
        blurred = accuracy > BLURRED_M or (border is not None and border <= accuracy)
        if grid is not None and not blurred:
            return Located(grid, uncertain=False, border_distance_m=border, candidates=())
        candidates = self._candidates(lon, lat, accuracy, outside=grid is None)
        return Located(grid, uncertain=True, border_distance_m=border, candidates=candidates)

    def _candidates(
        self, lon: float, lat: float, accuracy: float, *, outside: bool
    ) -> tuple[Candidate, ...]:
        reach = min(max(accuracy, _OUTSIDE_REACH_M if outside else 0.0), _WIDEST_REACH_M)
        near = self._index.within(lon, lat, reach)[:_CANDIDATES]
        return tuple(Candidate(code, metres) for metres, code in near)

    def _line_up(self, code: str) -> tuple[str, ...]:
        """The code and its ancestors, upward; ends at a missing parent."""
        line: list[str] = []
        step: str | None = code
        while step in self._nodes and step not in line:
            line.append(step)
            step = self._nodes[step].parent_code
        return tuple(line)


async def read_revision(session: AsyncSession) -> int:
    """0 before the first import."""
    return (await session.scalar(select(AreaRevision.revision))) or 0


async def current_map(resources: Resources) -> AreaMap:
    """The process's picture of the areas; at most some seconds behind the database.

    Raises the database's error only while there is no picture yet.
    """
    return await resources.the(MapKeeper).current()


class MapKeeper:
    """Keeps the one AreaMap of a process: `resources.the(MapKeeper)`."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._map: AreaMap | None = None
        self._looked_at: datetime | None = None
        self._turn = asyncio.Lock()

    def expire(self) -> None:
        """Look again at the next use: this process has just changed the areas."""
        self._looked_at = None

    async def current(self) -> AreaMap:
        if self._map is not None and (self._is_fresh() or self._turn.locked()):
            # whoever holds the turn is looking already; the others go on with what there is
            return self._map
        async with self._turn:
            if self._map is None or not self._is_fresh():
                await self._look()
        return cast("AreaMap", self._map)

    def _is_fresh(self) -> bool:
        if self._looked_at is None:
            return False
        age = self._resources.clock.now() - self._looked_at
        return timedelta(0) <= age < _LOOK_AGAIN

    async def _look(self) -> None:
        # before the look: an `expire` that arrives meanwhile must not be forgotten
        self._looked_at = self._resources.clock.now()
        try:
            await self._refresh()
        except (SQLAlchemyError, OSError) as failure:
            if self._map is None:
                raise
            log.warning("areas_not_refreshed", error=type(failure).__name__)

    async def _refresh(self) -> None:
        async with self._resources.sessions.read() as session:
            if self._map is None or await read_revision(session) != self._map.revision:
                self._map = await AreaMap.load(session)
