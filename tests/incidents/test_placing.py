"""Where a report belongs, and how sure that is."""

from typing import Any

import pytest

from app.accounts.caller import Caller, Holding
from app.accounts.permissions import Role
from app.areas.datum import from_wgs84
from app.areas.locate import AreaMap, AreaNode
from app.core.db import new_id
from app.incidents.errors import PlaceUnknown
from app.incidents.placing import Placed, place_report
from app.incidents.schemas import Place
from tests.conftest import NOON

WEST, EAST, FAR = "g-west", "g-east", "g-far"
LAT, LON, SIDE = 35.50, 106.60, 0.01
"""Two squares of some 900 m by 1,100 m that share the meridian LON."""
BORDER_M = 90_750.0
"""Metres of a degree of longitude here, roughly."""


def _square(west: float, south: float) -> dict[str, Any]:
    east, north = west + SIDE, south + SIDE
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def _node(number: int, code: str, level: Any, parent: str | None) -> AreaNode:
    return AreaNode(code, code, level, parent, None, None, None, None, None, number)


AREAS = AreaMap(
    [
        _node(1, "d", "district", None),
        _node(2, "t", "township", "d"),
        _node(3, "v", "village", "t"),
        _node(4, WEST, "grid", "v"),
        _node(5, EAST, "grid", "v"),
        _node(6, "t2", "township", "d"),
        _node(7, FAR, "grid", "t2"),
    ],
    {
        WEST: _square(LON - SIDE, LAT),
        EAST: _square(LON, LAT),
        FAR: _square(LON + 0.3, LAT),
    },
)


def caller(*grids: str, role: Role = Role.GRID_WORKER, area: str = "v") -> Caller:
    held = Holding(role, new_id(), area, area, "village", "centre", area)
    return Caller(new_id(), "网格员", "person", new_id(), None, (held,), frozenset(grids), NOON)


def point(east_m: float, accuracy_m: float | None = None, **more: Any) -> Place:
    """So many metres east of the common border, half-way up."""
    return Place(lon=LON + east_m / BORDER_M, lat=LAT + SIDE / 2, accuracy_m=accuracy_m, **more)


def placed(place: Place | None, who: Caller | None = None) -> Placed:
    return place_report(AREAS, who or caller(WEST), place)


@pytest.mark.parametrize("code", ["g-nowhere", "v", "t"])
def test_a_named_grid_that_is_none_is_refused(code: str) -> None:
    with pytest.raises(PlaceUnknown):
        placed(Place(grid_code=code))
    with pytest.raises(PlaceUnknown):
        placed(point(100, 5, grid_code=code))


def test_nothing_tells_the_area_of_somebody_without_one() -> None:
    handler = caller(role=Role.HANDLER)
    for place in (None, Place(), Place(address="某处"), Place(lon=0, lat=0)):
        with pytest.raises(PlaceUnknown):
            placed(place, handler)


def test_a_named_grid_is_taken_at_its_word() -> None:
    found = placed(Place(grid_code=EAST))
    assert (found.node.code, found.uncertain, found.candidates) == (EAST, False, ())
    assert (found.lon, found.lat) == (None, None)
    assert found.desks == ["v", "t", "d"]


def test_a_point_well_inside_a_grid_is_certain() -> None:
    found = placed(point(400, 20))
    assert (found.node.code, found.uncertain, found.candidates) == (EAST, False, ())
    assert found.lineage.grid == EAST
    assert found.lineage.village == "v"


def test_a_blurred_fix_keeps_its_candidates() -> None:
    found = placed(point(400, 101))
    assert (found.node.code, found.uncertain) == (EAST, True)
    assert found.candidates[0]["code"] == EAST


def test_nearer_to_a_border_than_its_accuracy_is_uncertain() -> None:
    found = placed(point(30, 50))
    assert (found.node.code, found.uncertain) == (EAST, True)
    assert [candidate["code"] for candidate in found.candidates] == [EAST, WEST]
    assert found.candidates[1]["distance_m"] == pytest.approx(30, abs=1)
    assert not placed(point(30, 20)).uncertain


def test_outside_every_grid_the_reporters_own_grid_counts() -> None:
    outside = Place(lon=LON + 0.05, lat=LAT + SIDE / 2, accuracy_m=10)
    found = placed(outside, caller(EAST, WEST))
    assert (found.node.code, found.uncertain) == (EAST, True)
    assert (found.lon, found.lat) == (outside.lon, outside.lat)


def test_outside_every_grid_and_without_an_own_one_the_units_area_counts() -> None:
    found = placed(Place(lon=0, lat=0), caller(role=Role.DISPATCHER, area="t"))
    assert (found.node.code, found.uncertain) == ("t", True)
    assert found.lineage.village is None
    assert found.desks == ["t", "d"]


def test_a_named_grid_against_the_point_wins_and_is_doubted() -> None:
    found = placed(point(400, 20, grid_code=WEST))
    assert (found.node.code, found.uncertain) == (WEST, True)
    assert found.candidates == ({"code": EAST, "distance_m": 0.0},)
    agreed = placed(point(400, 20, grid_code=EAST))
    assert (agreed.node.code, agreed.uncertain) == (EAST, False)


def test_without_a_position_the_only_grid_of_its_reporter_is_certain() -> None:
    assert placed(None, caller(WEST)).uncertain is False
    assert placed(None, caller(WEST)).node.code == WEST
    several = placed(None, caller(WEST, FAR))
    assert (several.node.code, several.uncertain) == (FAR, True)


def test_a_point_in_another_datum_finds_the_same_grid() -> None:
    for datum in ("gcj02", "bd09", "cgcs2000"):
        lon, lat = from_wgs84(LON + 0.004, LAT + SIDE / 2, datum)
        found = placed(Place(lon=lon, lat=lat, datum=datum, accuracy_m=20))
        assert (found.node.code, found.uncertain) == (EAST, False)
        assert found.lon == pytest.approx(LON + 0.004, abs=5e-6)
