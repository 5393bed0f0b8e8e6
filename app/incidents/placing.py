"""Where a report belongs: its grid, village, township, and how sure that is (pure)."""

from dataclasses import dataclass

from app.accounts.caller import Caller
from app.accounts.permissions import Role
from app.areas.datum import to_wgs84
from app.areas.locate import AreaMap, AreaNode, Lineage, Located
from app.core.db import Json
from app.incidents.errors import PlaceUnknown
from app.incidents.schemas import Place


@dataclass(frozen=True, slots=True)
class Placed:
    node: AreaNode
    """The finest area known: a grid, or the reporter's own area where no grid can be told."""
    lineage: Lineage
    lon: float | None
    lat: float | None
    uncertain: bool
    candidates: tuple[Json, ...]
    """`{code, distance_m}` of the grids it may be, nearest first."""

    @property
    def desks(self) -> list[str]:
        """Areas whose centre may be the duty desk, nearest first."""
        codes = (self.lineage.village, self.lineage.township, self.lineage.district)
        return [code for code in codes if code]


def place_report(areas: AreaMap, caller: Caller, place: Place | None) -> Placed:
    """Nothing is lost for want of a position: outside every grid the reporter's own area counts.

    Raises PlaceUnknown for a named grid that does not exist, or where nothing tells the area.
    """
    if place is None or place.lon is None or place.lat is None:
        named = place.grid_code if place else None
        return _without_point(areas, caller, named)
    lon, lat = to_wgs84(place.lon, place.lat, place.datum)
    located = areas.grid_at(lon, lat, place.accuracy_m)
    named_node = _grid(areas, place.grid_code) if place.grid_code else None
    node = named_node or areas.get(located.grid_code or "") or _own_area(areas, caller)
    if node is None:
        raise PlaceUnknown
    certain = located.grid_code == node.code and not located.uncertain
    return Placed(
        node, areas.lineage(node.code), lon, lat, not certain, _candidates(located, certain)
    )


def _without_point(areas: AreaMap, caller: Caller, named: str | None) -> Placed:
    node = _grid(areas, named) if named else _own_area(areas, caller)
    if node is None:
        raise PlaceUnknown
    certain = named is not None or len(caller.grid_codes) == 1
    return Placed(node, areas.lineage(node.code), None, None, not certain, ())


def _grid(areas: AreaMap, code: str) -> AreaNode:
    node = areas.get(code)
    if node is None or node.level != "grid":
        raise PlaceUnknown
    return node


def _own_area(areas: AreaMap, caller: Caller) -> AreaNode | None:
    """The reporter's first grid, else the area of the unit for which they report."""
    reporting = caller.holds(Role.GRID_WORKER, Role.GRID_MANAGER, Role.DISPATCHER)
    codes = [*sorted(caller.grid_codes), *(held.area_code for held in reporting)]
    return next((node for code in codes if (node := areas.get(code))), None)


def _candidates(located: Located, certain: bool) -> tuple[Json, ...]:  # noqa: FBT001 - a fact, not a switch of behaviour
    if certain:
        return ()
    found = tuple(
        {"code": item.code, "distance_m": round(item.distance_m, 1)} for item in located.candidates
    )
    if found or located.grid_code is None:
        return found
    # the point is sure of its grid, and the phone named another one
    return ({"code": located.grid_code, "distance_m": 0.0},)
