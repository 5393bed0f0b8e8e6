"""Datums against tables of an independent library, and the inverse over all of China."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyproj import Geod

from app.areas.datum import Datum, from_wgs84, to_wgs84

GEOD = Geod(ellps="WGS84")

GCOORD = [
    # lon, lat (WGS-84); lon, lat (GCJ-02); lon, lat (BD-09)
    # source: gcoord 1.0.7 (npm, MIT), gcoord.transform; coord-convert 0.2.1 (PyPI) gives the same
    # to a millimetre
    (106.67624, 35.53036, 106.68049584, 35.52990712, 106.68689869, 35.53623019),
    (106.74056, 35.50879, 106.74496334, 35.50840808, 106.75155547, 35.51409500),
    (106.51563, 35.73828, 106.51985143, 35.73797260, 106.52638843, 35.74380485),
    (107.2, 35.2, 107.20478668, 35.19940173, 107.21137725, 35.20518236),
    (116.397428, 39.90923, 116.40367163, 39.91063351, 116.41004410, 39.91697286),
    (121.473701, 31.230416, 121.47822406, 31.22847374, 121.48478247, 31.23432658),
    (113.264385, 23.129112, 113.26971458, 23.12643534, 113.27613577, 23.13272312),
    (104.065735, 30.659462, 104.06824246, 30.65704118, 104.07473697, 30.66307074),
    (105, 35, 105.00328624, 34.99909863, 105.00966683, 35.00540367),
    (104.999999, 34.5, 105.00325460, 34.49861895, 105.00965398, 34.50492985),
    (91.132212, 29.660361, 91.13375531, 29.65764057, 91.14035474, 29.66338659),
    (75.99, 39.47, 75.99295564, 39.47022750, 75.99946520, 39.47618784),
    (87.617733, 43.792818, 87.62058226, 43.79404257, 87.62701458, 43.80016426),
    (126.642464, 45.756967, 126.64843401, 45.75891813, 126.65506367, 45.76461182),
    (134.5, 48.3, 134.50762671, 48.30237641, 134.51400883, 48.30869733),
    (122.5, 53.4, 122.50729021, 53.40187201, 122.51366599, 53.40816189),
    (109.511909, 18.252847, 109.51599327, 18.25114175, 109.52254079, 18.25692363),
    (110.33119, 20.031971, 110.33556087, 20.02992392, 110.34210943, 20.03560002),
    (98.5, 24.9, 98.50032336, 24.89699984, 98.50678795, 24.90315267),
    (119.296494, 26.074508, 119.30129377, 26.07140596, 119.30777883, 26.07756778),
    (120.15507, 30.274085, 120.15976456, 30.27175627, 120.16632831, 30.27758476),
    (111.670801, 40.818311, 111.67758080, 40.81964076, 111.68417103, 40.82544382),
    (100.2, 41.9, 100.20167655, 41.90173836, 100.20806808, 41.90804481),
    (103.8343, 36.0611, 103.83670311, 36.06077272, 103.84323954, 36.06666535),
    (117.2009, 39.0842, 117.20719784, 39.08520595, 117.21369661, 39.09114841),
    (139.6917, 35.6895, 139.69170000, 35.68950000, 139.69812253, 35.69584545),
    (-0.1276, 51.5072, -0.12760000, 51.50720000, -0.12124250, 51.51321943),
    (151.2093, -33.8688, 151.20930000, -33.86880000, 151.21587032, -33.86239474),
    (71.9, 40, 71.90000000, 40.00000000, 71.90645514, 40.00611627),
    (138, 40, 138.00000000, 40.00000000, 138.00639664, 40.00641882),
]
SEAT = (106.665, 35.543)
"""The district's seat of government."""
china = {"lon": st.floats(73.5, 135.1), "lat": st.floats(3.9, 53.6)}


def metres(one: tuple[float, float], other: tuple[float, float]) -> float:
    return float(GEOD.inv(*one, *other)[2])


@pytest.mark.parametrize("row", GCOORD, ids=lambda row: f"{row[0]},{row[1]}")
@pytest.mark.parametrize(("datum", "at"), [("gcj02", 2), ("bd09", 4)])
def test_forward_and_back_agree_with_gcoord(row: tuple[float, ...], datum: Datum, at: int) -> None:
    wgs84, expected = (row[0], row[1]), (row[at], row[at + 1])
    assert metres(from_wgs84(*wgs84, datum), expected) < 0.01
    assert metres(to_wgs84(*expected, datum), wgs84) < 0.01


@settings(deadline=None)
@given(**china)
@pytest.mark.parametrize("datum", ["wgs84", "gcj02", "bd09", "cgcs2000"])
def test_the_inverse_errs_less_than_half_a_metre(datum: Datum, lon: float, lat: float) -> None:
    there = from_wgs84(lon, lat, datum)
    assert metres(to_wgs84(*there, datum), (lon, lat)) < 0.5


@settings(deadline=None)
@given(lon=st.floats(138, 180), lat=st.floats(-85, 85))
def test_outside_china_gcj02_is_wgs84(lon: float, lat: float) -> None:
    assert from_wgs84(lon, lat, "gcj02") == (lon, lat)
    assert to_wgs84(lon, lat, "gcj02") == (lon, lat)


@settings(deadline=None)
@given(lon=st.floats(-180, 180), lat=st.floats(-90, 90))
@pytest.mark.parametrize("datum", ["gcj02", "bd09"])
def test_any_point_on_earth_has_an_answer(datum: Datum, lon: float, lat: float) -> None:
    assert all(abs(degrees) < 181 for degrees in to_wgs84(lon, lat, datum))


def test_in_this_district_gcj02_lies_383_m_east_and_52_m_south() -> None:
    lon, lat = from_wgs84(*SEAT, "gcj02")
    assert metres(SEAT, (lon, SEAT[1])) == pytest.approx(383, abs=2)
    assert metres(SEAT, (SEAT[0], lat)) == pytest.approx(52, abs=2)
    assert lon > SEAT[0]
    assert lat < SEAT[1]


def test_cgcs2000_is_taken_as_wgs84() -> None:
    assert to_wgs84(*SEAT, "cgcs2000") == SEAT
    assert from_wgs84(*SEAT, "cgcs2000") == SEAT


@pytest.mark.parametrize("datum", ["wgs84", "gcj02", "bd09", "cgcs2000"])
@given(lon=st.floats(-180, 180), lat=st.floats(-90, 90))
@example(lon=-180.0, lat=-90.0)
@example(lon=180.0, lat=90.0)
def test_a_point_of_the_earth_stays_on_it(datum: Datum, lon: float, lat: float) -> None:
    """BD-09 shifted the antimeridian to 180.007°, which no answer may say and no row may hold."""
    for there_lon, there_lat in (to_wgs84(lon, lat, datum), from_wgs84(lon, lat, datum)):
        assert -180 <= there_lon <= 180
        assert -90 <= there_lat <= 90
