"""Point → grid on the reference district and on a small tree."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod
from shapely.geometry import Point, shape

from app.areas.datum import from_wgs84
from app.areas.grid_index import GridIndex
from app.areas.locate import AreaMap, AreaNode, Lineage
from tests.areas.conftest import SQUARES, TREE, reference_files

GEOD = Geod(ellps="WGS84")


def small_map() -> AreaMap:
    nodes = []
    for number, line in enumerate(TREE.splitlines()[1:]):
        code, name, level, parent = line.split(",")
        nodes.append(
            AreaNode(code, name, level, parent or None, None, None, None, None, None, number)  # type: ignore[arg-type]  # levels as text
        )
    polygons = {f["properties"]["code"]: f["geometry"] for f in SQUARES["features"]}
    return AreaMap(nodes, polygons)


SMALL = small_map()


@pytest.mark.parametrize("point", [(0.0, 0.0), (106.60, 35.60), (-180.0, 90.0)])
def test_outside_all_grids_there_is_no_grid_and_it_is_uncertain(
    point: tuple[float, float],
) -> None:
    located = SMALL.grid_at(*point, 5)
    assert located.grid_code is None
    assert located.uncertain


def test_outside_the_nearest_grids_are_candidates_with_their_distance() -> None:
    located = SMALL.grid_at(106.655, 35.545)
    assert [found.code for found in located.candidates] == ["G1", "G2", "G3"]
    expected = GEOD.inv(106.655, 35.545, 106.66, 35.545)[2]
    assert located.candidates[0].distance_m == pytest.approx(expected, rel=0.002)
    assert located.border_distance_m == located.candidates[0].distance_m


def test_far_away_there_are_no_candidates() -> None:
    located = SMALL.grid_at(116.4, 39.9, 10)
    assert located.candidates == ()
    assert located.border_distance_m is None


def test_a_fix_worse_than_100_m_is_uncertain_even_in_the_middle() -> None:
    assert not SMALL.grid_at(106.665, 35.545, 100).uncertain
    located = SMALL.grid_at(106.665, 35.545, 101)
    assert located.uncertain
    assert located.grid_code == "G1"
    assert [found.code for found in located.candidates] == ["G1"]
    assert located.candidates[0].distance_m == 0


def test_nearer_to_another_grid_than_the_accuracy_is_uncertain() -> None:
    lon = 106.6698  # 18 m west of G2
    assert not SMALL.grid_at(lon, 35.545, 15).uncertain
    located = SMALL.grid_at(lon, 35.545, 25)
    assert located.uncertain
    assert [found.code for found in located.candidates] == ["G1", "G2"]
    assert located.border_distance_m == pytest.approx(18.1, abs=0.1)


def test_near_the_outer_border_no_other_grid_is_in_question() -> None:
    located = SMALL.grid_at(106.6601, 35.545, 50)
    assert (located.grid_code, located.uncertain) == ("G1", False)


def test_on_a_shared_border_it_is_uncertain_without_any_accuracy() -> None:
    located = SMALL.grid_at(106.67, 35.545)
    assert (located.grid_code, located.uncertain) == ("G1", True)
    assert {found.code for found in located.candidates} == {"G1", "G2"}


def test_without_accuracy_the_point_itself_decides() -> None:
    located = SMALL.grid_at(106.6699, 35.545)
    assert (located.grid_code, located.uncertain, located.candidates) == ("G1", False, ())


def test_a_map_without_areas_answers() -> None:
    empty = AreaMap([], {})
    located = empty.grid_at(106.67, 35.545, 10)
    assert (located.grid_code, located.uncertain, located.candidates) == (None, True, ())
    assert empty.subtree("620802") == frozenset()


def test_unknown_codes_belong_to_nothing() -> None:
    assert SMALL.get("nowhere") is None
    assert SMALL.lineage("nowhere") == Lineage()
    assert not SMALL.is_below("nowhere", "nowhere")
    assert not SMALL.is_below("G1", "nowhere")
    assert SMALL.children("nowhere") == ()


def test_lineage_and_subtree_follow_parent_links_not_codes() -> None:
    assert SMALL.lineage("G3") == Lineage("62", "6208", "620802", "T1", "V2", "G3")
    assert SMALL.lineage("T1") == Lineage("62", "6208", "620802", "T1")
    assert SMALL.subtree("V1") == {"V1", "G1", "G2"}
    assert SMALL.is_below("G1", "620802")
    assert SMALL.is_below("V1", "V1")
    assert not SMALL.is_below("V1", "G1")
    assert [node.code for node in SMALL.children("V1")] == ["G1", "G2"]
    assert [node.code for node in SMALL.children(None)] == ["62"]


def test_parents_that_form_a_ring_do_not_hang() -> None:
    nodes = [
        AreaNode("A", "甲", "village", "B", None, None, None, None, None, 1),
        AreaNode("B", "乙", "township", "A", None, None, None, None, None, 2),
    ]
    assert AreaMap(nodes, {}).lineage("A") == Lineage(township="B", village="A")


def test_every_reference_grid_holds_its_inner_point(district: AreaMap) -> None:
    grids = [node for node in map(district.get, district.subtree("620802")) if node is not None]
    grids = [node for node in grids if node.level == "grid"]
    assert len(grids) == 1523
    for grid in grids:
        assert grid.lon is not None
        assert grid.lat is not None
        assert district.grid_at(grid.lon, grid.lat, 0).grid_code == grid.code


def test_the_wrong_datum_names_another_grid(district: AreaMap) -> None:
    grid = district.get("620802001001001")
    assert grid is not None
    assert grid.lon is not None
    assert grid.lat is not None
    shifted = from_wgs84(grid.lon, grid.lat, "gcj02")
    assert district.grid_at(*shifted).grid_code != grid.code


REFERENCE_POLYGONS: dict[str, dict[str, Any]] = {
    feature["properties"]["code"]: feature["geometry"]
    for file in reference_files()
    for feature in file["features"]
    if feature["properties"]["level"] == "grid"
}
REFERENCE_SHAPES = {code: shape(polygon) for code, polygon in REFERENCE_POLYGONS.items()}
REFERENCE_INDEX = GridIndex(REFERENCE_POLYGONS)


@settings(deadline=None)
@given(lon=st.floats(106.40, 107.30), lat=st.floats(35.20, 35.80))
def test_the_index_agrees_with_asking_every_polygon(lon: float, lat: float) -> None:
    point = Point(lon, lat)
    asked = [code for code, polygon in REFERENCE_SHAPES.items() if polygon.intersects(point)]
    assert REFERENCE_INDEX.holding(lon, lat) == sorted(asked)


@settings(deadline=None)
@given(lon=st.floats(106.45, 107.25), lat=st.floats(35.25, 35.75))
def test_distances_agree_with_geodesics(lon: float, lat: float) -> None:
    found = REFERENCE_INDEX.within(lon, lat, 2_000)
    for distance, code in found[:3]:
        assert distance == pytest.approx(geodesic_to(code, lon, lat), rel=0.005, abs=0.5)
    nearest = REFERENCE_INDEX.nearest(lon, lat, None)
    assert nearest == (found[0][0] if found else nearest)


def geodesic_to(code: str, lon: float, lat: float) -> float:
    """Metres to the nearest of many points along the border, 0 inside."""
    polygon = REFERENCE_SHAPES[code]
    if polygon.intersects(Point(lon, lat)):
        return 0.0
    border = polygon.exterior
    near = border.project(Point(lon, lat))
    # degrees are not square: look around the nearest point in degrees
    span = min(border.length / 2, 0.02)
    steps = [border.interpolate((near + s) % border.length) for s in np.linspace(-span, span, 2001)]
    lons, lats = [p.x for p in steps], [p.y for p in steps]
    return float(min(GEOD.inv([lon] * len(lons), [lat] * len(lats), lons, lats)[2]))
