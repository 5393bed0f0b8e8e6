"""Polygons in memory: which of them hold a point, and how many metres away the others are."""

from collections.abc import Mapping
from math import cos, radians, sin, sqrt
from typing import Any

import numpy as np
import shapely
from shapely.geometry import shape

_A = 6378137.0
_EE = 0.00669437999014
"""The WGS-84 ellipsoid."""
_FAR_AWAY_M = (200.0, 2_000.0, 20_000.0)
"""Rings in which the nearest polygon is sought: in town the first one finds it."""


def metres_per_degree(lat: float) -> tuple[float, float]:
    """Length of a degree of longitude and of latitude at `lat` on the WGS-84 ellipsoid."""
    w = sqrt(1 - _EE * sin(radians(lat)) ** 2)
    return radians(_A * cos(radians(lat)) / w), radians(_A * (1 - _EE) / w**3)


class GridIndex:
    """Immutable.

    Every polygon is also kept in its own local frame of metres, so that distances are right to
    0.1 % within some kilometres wherever it lies.
    """

    def __init__(self, polygons: Mapping[str, Mapping[str, Any]]) -> None:
        """`polygons`: GeoJSON geometries in WGS-84 by code; in order of code from here on."""
        self.codes = tuple(sorted(polygons))
        shapes = [shape(polygons[code]) for code in self.codes]
        self._tree = shapely.STRtree(shapes)
        bounds = np.asarray(shapely.bounds(shapes), dtype=float).reshape(-1, 4)
        self._centre = (bounds[:, :2] + bounds[:, 2:]) / 2
        self._scale = np.array([metres_per_degree(lat) for lat in self._centre[:, 1]])
        self._scale = self._scale.reshape(-1, 2)
        self._local = np.array(
            [self._to_local(polygon, at) for at, polygon in enumerate(shapes)], dtype=object
        )

    def holding(self, lon: float, lat: float) -> list[str]:
        """Codes of the polygons that hold the point, border included, in order."""
        found = self._tree.query(shapely.Point(lon, lat), predicate="intersects")
        return [self.codes[at] for at in sorted(found)]

    def within(self, lon: float, lat: float, reach_m: float) -> list[tuple[float, str]]:
        """(metres, code) of the polygons no farther than `reach_m`, the nearest first."""
        per_lon, per_lat = metres_per_degree(lat)
        # a little wider than asked, so that the rounding of the two frames loses nothing
        dx, dy = 1.01 * reach_m / per_lon, 1.01 * reach_m / per_lat
        box = shapely.box(lon - dx, lat - dy, lon + dx, lat + dy)
        at = self._tree.query(box)
        local = (np.array([lon, lat]) - self._centre[at]) * self._scale[at]
        distances = shapely.distance(self._local[at], shapely.points(local))
        near = zip(distances.tolist(), at.tolist(), strict=True)
        return sorted((metres, self.codes[i]) for metres, i in near if metres <= reach_m)

    def nearest(self, lon: float, lat: float, but: str | None) -> float | None:
        """Metres to the nearest polygon other than `but`; None beyond 20 km."""
        for reach in _FAR_AWAY_M:
            for metres, code in self.within(lon, lat, reach):
                if code != but:
                    return metres
        return None

    def _to_local(self, polygon: Any, at: int) -> Any:  # noqa: ANN401 - shapely has no types
        centre, scale = self._centre[at], self._scale[at]
        return shapely.transform(polygon, lambda degrees: (degrees - centre) * scale)
