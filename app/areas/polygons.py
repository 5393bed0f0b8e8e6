"""GeoJSON → polygons by code, checked and repaired where that is safe. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import shapely
from pydantic import ValidationError
from shapely.geometry import mapping

from app.areas.csv_rows import Facts
from app.areas.findings import Finding, bad_values
from app.areas.models import Geometry

_CORNERS = 4
"""A triangle whose last position repeats its first (RFC 7946)."""


@dataclass(slots=True)
class Drawings:
    """Polygons and the facts in their properties by code; where each stood in the files."""

    polygons: dict[str, Geometry] = field(default_factory=dict)
    facts: dict[str, Facts] = field(default_factory=dict)
    features: dict[str, str] = field(default_factory=dict)
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    def take(self, feature: Mapping[str, Any], pointer: str) -> None:
        facts = feature.get("properties")
        code = facts.get("code") if isinstance(facts, Mapping) else None
        if not isinstance(code, str) or not code:
            self.errors.append(Finding("feature-without-code", feature=pointer))
        elif code in self.features:
            self.errors.append(Finding("duplicate-polygon", code=code, feature=pointer))
        else:
            self.features[code] = pointer
            self._take_facts(facts, code, pointer)
            self._take_polygon(feature.get("geometry"), code, pointer)

    def _take_facts(self, facts: object, code: str, pointer: str) -> None:
        try:
            known = Facts.model_validate(facts)
        except ValidationError as invalid:
            self.errors += bad_values(invalid, code=code, feature=pointer)
            return
        if known.has_half_point:
            self.errors.append(Finding("half-point", code=code, feature=pointer))
        self.facts[code] = known

    def _take_polygon(self, geometry: object, code: str, pointer: str) -> None:
        try:
            polygon, repaired = read_polygon(geometry)
        except NotDrawableError as broken:
            self.errors.append(Finding(broken.problem, code=code, feature=pointer))
            return
        if repaired:
            self.warnings.append(Finding("self-intersection-repaired", code=code, feature=pointer))
        self.polygons[code] = polygon


class NotDrawableError(Exception):
    """A geometry that is no polygon; `problem` names the finding."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def read_drawings(files: Sequence[Mapping[str, Any]]) -> Drawings:
    """The features of GeoJSON FeatureCollections or Features, WGS-84."""
    drawings = Drawings()
    for number, file in enumerate(files):
        for feature, pointer in _features(file, f"/{number}"):
            if isinstance(feature, Mapping) and feature.get("type") == "Feature":
                drawings.take(feature, pointer)
            else:
                drawings.errors.append(Finding("not-geojson", feature=pointer))
    return drawings


def _features(file: Mapping[str, Any], pointer: str) -> Iterator[tuple[object, str]]:
    features = file.get("features")
    if file.get("type") != "FeatureCollection" or not isinstance(features, list):
        yield file, pointer
        return
    for number, feature in enumerate(features):
        yield feature, f"{pointer}/features/{number}"


def read_polygon(geometry: object) -> tuple[Geometry, bool]:
    """The geometry with two coordinates a position, and whether it had to be repaired.

    Raises NotDrawableError.
    """
    if not isinstance(geometry, Mapping):
        raise NotDrawableError("broken-polygon")
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if not isinstance(coordinates, list) or kind not in {"Polygon", "MultiPolygon"}:
        raise NotDrawableError("broken-polygon")
    parts = [_rings(part) for part in (coordinates if kind == "MultiPolygon" else [coordinates])]
    polygons = [shapely.Polygon(rings[0], rings[1:]) for rings in parts]
    drawn = shapely.MultiPolygon(polygons) if kind == "MultiPolygon" else polygons[0]
    if not polygons or drawn.is_empty:
        raise NotDrawableError("broken-polygon")
    if drawn.is_valid:
        return {"type": kind, "coordinates": parts if kind == "MultiPolygon" else parts[0]}, False
    return _repaired(drawn), True


def _rings(part: object) -> list[list[list[float]]]:
    if not isinstance(part, list) or not part:
        raise NotDrawableError("broken-polygon")
    return [_ring(ring) for ring in part]


def _ring(positions: object) -> list[list[float]]:
    try:
        ring = np.asarray(positions, dtype=float)
    except (ValueError, TypeError):
        raise NotDrawableError("broken-polygon") from None
    if ring.ndim != 2 or ring.shape[1] not in {2, 3} or not _on_earth(ring):  # noqa: PLR2004 - positions of 2 or 3 numbers
        raise NotDrawableError("broken-polygon")
    flat: list[list[float]] = ring[:, :2].tolist()
    if flat[0] != flat[-1]:
        raise NotDrawableError("ring-not-closed")
    if len(flat) < _CORNERS:
        raise NotDrawableError("broken-polygon")
    return flat


def _on_earth(ring: Any) -> bool:  # noqa: ANN401 - an array of positions
    # NaN and infinity fail the comparison too
    return bool((np.abs(ring[:, 0]) <= 180).all() and (np.abs(ring[:, 1]) <= 90).all())  # noqa: PLR2004 - degrees


def _repaired(drawn: Any) -> Geometry:  # noqa: ANN401 - shapely has no types
    pieces = shapely.get_parts(shapely.make_valid(drawn))
    surfaces = [piece for piece in pieces if piece.area > 0]
    if not surfaces:
        raise NotDrawableError("broken-polygon")
    whole = shapely.union_all(surfaces)
    repaired: Geometry = orjson.loads(orjson.dumps(mapping(whole)))
    return repaired


def inner_point(polygon: Geometry) -> tuple[float, float]:
    """Longitude and latitude of a point inside, to 1e-6 degrees (a tenth of a metre)."""
    point = shapely.geometry.shape(polygon).representative_point()
    return round(point.x, 6), round(point.y, 6)
