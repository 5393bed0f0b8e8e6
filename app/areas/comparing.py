"""What an import would change: the current areas against its rows and polygons. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.areas.csv_rows import AreaRow, Table
from app.areas.findings import Finding
from app.areas.models import Level
from app.areas.polygons import Drawings, inner_point

FIELDS = (
    "name",
    "level",
    "parent_code",
    "kind",
    "households",
    "population",
    "lon",
    "lat",
    "geometry",
)
Version = dict[str, Any]
"""The FIELDS of an area."""

PARENTS: Mapping[Level, tuple[Level | None, ...]] = {
    "province": (None,),
    "city": ("province", None),
    # a county run by its province has no city in between
    "district": ("city", "province", None),
    "township": ("district",),
    "village": ("township",),
    "grid": ("village",),
}
"""A grid without a village would have no duty desk, hence no owner for its matters."""

_ZH = {
    None: "无",
    "province": "省",
    "city": "市",
    "district": "区县",
    "township": "乡镇/街道",
    "village": "村/社区",
    "grid": "网格",
}
_MOST_HOUSEHOLDS = 300
_MOST_PEOPLE = 1000


@dataclass(slots=True)
class Plan:
    """Versions to open by code; `changed` also closes the one before."""

    created: dict[str, Version] = field(default_factory=dict)
    changed: dict[str, Version] = field(default_factory=dict)
    unchanged: int = 0
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    def file(self, code: str, before: Version | None, after: Version) -> None:
        if before is None:
            self.created[code] = after
        elif before != after:
            self.changed[code] = after
        else:
            self.unchanged += 1


def compare(current: Mapping[str, Version], table: Table, drawings: Drawings) -> Plan:
    """What the import means for the current areas; complete even where there are errors."""
    plan = Plan(
        errors=[*table.errors, *drawings.errors], warnings=[*table.warnings, *drawings.warnings]
    )
    merged = dict(current)
    for code in [*table.rows, *(code for code in drawings.features if code not in table.rows)]:
        before, row = current.get(code), table.rows.get(code)
        if before is None and row is None:
            plan.errors += _unknown(code, table, drawings)
            continue
        merged[code] = _said(code, before or {}, row, drawings)
        plan.file(code, before, merged[code])
        plan.warnings += _too_large(code, merged[code], table, drawings)
    plan.errors += _misplaced(merged, table)
    return plan


def _said(code: str, before: Version, row: AreaRow | None, drawings: Drawings) -> Version:
    """The version before, overlaid with the polygon's properties, then with the row."""
    said: Version = {}
    facts = drawings.facts.get(code)
    for source in (facts, row):
        if source is not None:
            said |= source.model_dump(exclude_none=True, exclude={"code"})
    if row is not None:
        said["parent_code"] = row.parent_code
    polygon = drawings.polygons.get(code)
    if polygon is not None:
        said["geometry"] = polygon
        if "lon" not in said and polygon != before.get("geometry"):
            said["lon"], said["lat"] = inner_point(polygon)
    return {name: said.get(name, before.get(name)) for name in FIELDS}


def _unknown(code: str, table: Table, drawings: Drawings) -> Iterator[Finding]:
    # a refused row is told as such; its polygon is then no second mistake
    if code not in table.refused:
        yield Finding("unknown-code", code=code, feature=drawings.features[code])


def _too_large(code: str, version: Version, table: Table, drawings: Drawings) -> Iterator[Finding]:
    households, people = version["households"] or 0, version["population"] or 0
    if version["level"] == "grid" and (households > _MOST_HOUSEHOLDS or people > _MOST_PEOPLE):
        yield Finding(
            "grid-too-large",
            line=table.lines.get(code),
            code=code,
            feature=drawings.features.get(code),
            values={"households": households, "population": people},
        )


def _misplaced(merged: Mapping[str, Version], table: Table) -> Iterator[Finding]:
    """Every area, not only the imported ones: a row may pull its children's parent away."""
    for code, version in merged.items():
        line, parent = table.lines.get(code), version["parent_code"]
        if parent is not None and parent not in merged:
            if parent not in table.refused:
                yield Finding("missing-parent", line=line, code=code, values={"parent": parent})
            continue
        found = merged[parent]["level"] if parent is not None else None
        expected = PARENTS[version["level"]]
        if found not in expected:
            values = {
                "level": _both(version["level"]),
                "expected": " / ".join(_both(level) for level in expected),
                "found": _both(found),
            }
            yield Finding("wrong-level-order", line=line, code=code, values=values)


def _both(level: Level | None) -> str:
    return f"{_ZH[level]} ({level or 'none'})"
