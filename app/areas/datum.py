"""Datums of China: WGS-84, GCJ-02, BD-09, CGCS2000. Degrees in, degrees out; no I/O.

GCJ-02 and BD-09 are unpublished; the formulas are those that the open libraries agree upon
(checked against gcoord 1.0.7 in the tests). CGCS2000 differs from WGS-84 by centimetres and is
taken as equal.
"""

from collections.abc import Callable
from math import asin, atan2, cos, hypot, pi, radians, sin, sqrt
from typing import Literal

Datum = Literal["wgs84", "gcj02", "bd09", "cgcs2000"]
Point = tuple[float, float]
"""Longitude, latitude in degrees."""

_A = 6378245.0
"""Semi-major axis of the Krasovsky 1940 ellipsoid, in metres: GCJ-02 is defined on it."""
_EE = 0.00669342162296594323
_EARTH_M = 6371008.8
"""Mean radius of the WGS-84 ellipsoid (IUGG)."""
_BD = pi * 3000.0 / 180.0
_STEPS = 16
_CLOSE = 1e-10
"""Degrees: a hundredth of a millimetre."""


def to_wgs84(lon: float, lat: float, datum: Datum) -> Point:
    """The WGS-84 point of a point in `datum`; the inverse is iterated, its error below 0.5 m."""
    if datum == "gcj02":
        return _on_earth(*_invert(_gcj02_of_wgs84, lon, lat))
    if datum == "bd09":
        return _on_earth(*_invert(_gcj02_of_wgs84, *_invert(_bd09_of_gcj02, lon, lat)))
    return lon, lat


def from_wgs84(lon: float, lat: float, datum: Datum) -> Point:
    """The point in `datum` of a WGS-84 point. Outside China GCJ-02 is WGS-84."""
    if datum == "gcj02":
        return _gcj02_of_wgs84(lon, lat)
    if datum == "bd09":
        return _on_earth(*_bd09_of_gcj02(*_gcj02_of_wgs84(lon, lat)))
    return lon, lat


def distance_m(lon: float, lat: float, other_lon: float, other_lat: float) -> float:
    """Metres between two WGS-84 points along the sphere; off by less than 0.6 %."""
    north, east = radians(other_lat - lat), radians(other_lon - lon)
    half = sin(north / 2) ** 2 + cos(radians(lat)) * cos(radians(other_lat)) * sin(east / 2) ** 2
    return 2 * _EARTH_M * asin(sqrt(min(half, 1.0)))


def _on_earth(lon: float, lat: float) -> Point:
    """BD-09 shifts the poles and the antimeridian too, beyond what a coordinate can be."""
    return max(-180.0, min(lon, 180.0)), max(-90.0, min(lat, 90.0))


def _invert(forward: Callable[[float, float], Point], lon: float, lat: float) -> Point:
    """The point that `forward` takes to (lon, lat): a fixed point, for the shift varies slowly."""
    x, y = lon, lat
    for _ in range(_STEPS):
        there = forward(x, y)
        off_x, off_y = lon - there[0], lat - there[1]
        x, y = x + off_x, y + off_y
        if abs(off_x) < _CLOSE and abs(off_y) < _CLOSE:
            break
    return x, y


def _in_china(lon: float, lat: float) -> bool:
    """The rectangle that every map SDK uses; it covers neighbours too."""
    return 72.004 <= lon <= 137.8347 and 0.8293 <= lat <= 55.8271  # noqa: PLR2004 - the definition


def _gcj02_of_wgs84(lon: float, lat: float) -> Point:
    if not _in_china(lon, lat):
        return lon, lat
    north, east = _shift_m(lon - 105.0, lat - 35.0)
    magic = 1 - _EE * sin(radians(lat)) ** 2
    per_lat = radians(_A * (1 - _EE) / (magic * sqrt(magic)))
    per_lon = radians(_A / sqrt(magic) * cos(radians(lat)))
    return lon + east / per_lon, lat + north / per_lat


def _shift_m(x: float, y: float) -> Point:
    """The shift (north, east) in metres; x, y are degrees from 105° E, 35° N."""
    both = 20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)
    north = both + 20.0 * sin(y * pi) + 40.0 * sin(y / 3.0 * pi)
    north += 160.0 * sin(y / 12.0 * pi) + 320.0 * sin(y / 30.0 * pi)
    east = both + 20.0 * sin(x * pi) + 40.0 * sin(x / 3.0 * pi)
    east += 150.0 * sin(x / 12.0 * pi) + 300.0 * sin(x / 30.0 * pi)
    root = sqrt(abs(x))
    return (
        north * 2 / 3 - 100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root,
        east * 2 / 3 + 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root,
    )


def _bd09_of_gcj02(lon: float, lat: float) -> Point:
    radius = hypot(lon, lat) + 0.00002 * sin(lat * _BD)
    angle = atan2(lat, lon) + 0.000003 * cos(lon * _BD)
    return radius * cos(angle) + 0.0065, radius * sin(angle) + 0.006
