"""Areas on the wire."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.areas.csv_rows import AreaCode
from app.areas.datum import Datum, from_wgs84
from app.areas.locate import AreaMap, Located
from app.areas.models import Area, AreaImport, ImportState, Kind, Level
from app.core.fields import Command, Count, Instant, Lat, Line, Lon, View
from app.core.paging import DEFAULT_LIMIT, MAX_LIMIT

IMPORT_BYTES = 16 * 1024 * 1024
_MOST_FILES = 32
_Metres = Annotated[float, Field(ge=0, le=50_000_000, allow_inf_nan=False)]
_Text = Annotated[str, StringConstraints(max_length=1000)]


class ImportAreas(Command):
    """The body of an import as JSON."""

    csv: Annotated[str, StringConstraints(max_length=IMPORT_BYTES)]
    """Columns code, name, level, parent_code; optional kind, households, population, lon, lat."""
    geometries: list[dict[str, Any]] = Field(default_factory=list, max_length=_MOST_FILES)
    """GeoJSON FeatureCollections or Features, WGS-84, whose properties hold the `code`."""


class AreaFilters(Command):
    """The query of a list of areas."""

    parent: AreaCode | None = None
    level: Level | None = None
    q: Line | None = None
    """Part of a name, or the beginning of a code."""
    datum: Datum = "wgs84"
    cursor: Annotated[str, StringConstraints(max_length=1024)] | None = None
    limit: int = Field(default=DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)


class AreaView(View):
    """The current version; lon, lat: an inner point in the datum asked for."""

    code: AreaCode
    name: _Text
    level: Level
    parent_code: AreaCode | None
    kind: Kind | None
    households: Count | None
    population: Count | None
    lon: Lon | None
    lat: Lat | None
    datum: Datum

    @classmethod
    def of(cls, area: Area, datum: Datum) -> "AreaView":
        return cls(**_fields(cls, area, datum))


class AreaDetail(AreaView):
    """One version with its polygon."""

    geometry: dict[str, Any] | None
    """GeoJSON in the datum asked for."""
    valid_from: Instant
    valid_to: Instant | None

    @classmethod
    def of(cls, area: Area, datum: Datum) -> "AreaDetail":
        shown = _fields(cls, area, datum)
        if area.geometry is not None:
            coordinates = _in_datum(area.geometry["coordinates"], datum)
            shown["geometry"] = {"type": area.geometry["type"], "coordinates": coordinates}
        return cls(**shown)


def _fields(shape: type[View], area: Area, datum: Datum) -> dict[str, Any]:
    shown = {name: getattr(area, name) for name in shape.model_fields if name != "datum"}
    return {**shown, **_inner_point(area, datum), "datum": datum}


def _inner_point(area: Area, datum: Datum) -> dict[str, float]:
    if area.lon is None or area.lat is None:
        return {}
    lon, lat = from_wgs84(area.lon, area.lat, datum)
    return {"lon": round(lon, 7), "lat": round(lat, 7)}


def _in_datum(coordinates: list[Any], datum: Datum) -> list[Any]:
    """Positions at any depth of a GeoJSON coordinates member."""
    if not isinstance(coordinates[0], list):
        return [round(degrees, 7) for degrees in from_wgs84(coordinates[0], coordinates[1], datum)]
    return [_in_datum(part, datum) for part in coordinates]


class AreaName(View):
    code: AreaCode
    name: _Text


class CandidateView(AreaName):
    distance_m: _Metres
    """0 for a grid that holds the point."""


class PointView(View):
    lon: Lon
    lat: Lat


class LocatedView(View):
    """Where a point lies.

    Uncertain: outside all grids, an accuracy worse than 100 m, or another grid no farther than the
    accuracy; then `candidates` are the grids in question.
    """

    wgs84: PointView
    grid: AreaName | None
    village: AreaName | None
    township: AreaName | None
    district: AreaName | None
    uncertain: bool
    border_distance_m: _Metres | None
    """To the nearest other grid; null beyond 20 km."""
    candidates: list[CandidateView] = Field(max_length=32)

    @classmethod
    def of(cls, areas: AreaMap, point: tuple[float, float], located: Located) -> "LocatedView":
        lineage = areas.lineage(located.grid_code or "")
        border = located.border_distance_m
        return cls(
            wgs84=PointView(lon=round(point[0], 7), lat=round(point[1], 7)),
            grid=_named(areas, lineage.grid),
            village=_named(areas, lineage.village),
            township=_named(areas, lineage.township),
            district=_named(areas, lineage.district),
            uncertain=located.uncertain,
            border_distance_m=None if border is None else round(border, 1),
            candidates=[
                CandidateView(
                    code=found.code,
                    name=areas.name(found.code),
                    distance_m=round(found.distance_m, 1),
                )
                for found in located.candidates
            ],
        )


def _named(areas: AreaMap, code: str | None) -> AreaName | None:
    return None if code is None else AreaName(code=code, name=areas.name(code))


class MessageView(View):
    zh: _Text
    en: _Text


class FindingView(View):
    line: Count | None
    """Of the CSV, from 1."""
    code: _Text | None
    feature: _Text | None
    """Pointer into `geometries`."""
    problem: _Text
    message: MessageView


class ImportReportView(View):
    created: Count
    changed: Count
    unchanged: Count
    warning_count: Count
    error_count: Count
    warnings: list[FindingView] = Field(max_length=1000)
    errors: list[FindingView] = Field(max_length=1000)


class AreaImportView(View):
    """How far an import is.

    `reason` of a failure: `refused` (see the report), `interrupted` (send it again), `internal`.
    """

    id: UUID
    state: ImportState
    done: Count
    total: Count
    reason: Literal["refused", "interrupted", "internal"] | None
    report: ImportReportView | None
    created_at: Instant
    finished_at: Instant | None

    @classmethod
    def of(cls, found: AreaImport, now: datetime, lease: timedelta) -> "AreaImportView":
        """A row left unfinished by a process that is no longer heard of has failed."""
        shown = {name: getattr(found, name) for name in cls.model_fields if name != "reason"}
        reason = None
        if found.finished_at is None and now - found.beat_at > lease:
            shown["state"], reason = "failed", "interrupted"
        elif found.state == "failed":
            reason = "refused" if found.report else "internal"
        return cls.model_validate({**shown, "reason": reason})
