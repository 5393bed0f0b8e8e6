"""Import of areas: read, compare, write new versions. All or nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.areas.comparing import FIELDS, Plan, Version, compare
from app.areas.csv_rows import Table, read_table
from app.areas.findings import Finding
from app.areas.models import Area, AreaRevision
from app.areas.polygons import Drawings, read_drawings
from app.core.db import Json

Progress = Callable[[int, int], Awaitable[None]]
"""Told (done, total) in areas."""

MOST_FINDINGS = 1000
"""A report names no more of each kind; the totals count them all."""
_CHUNK = 500
_FILES = ("district.geojson", "townships.geojson", "villages.geojson", "grids.geojson")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """With errors nothing was written and the three counts are 0."""

    created: int
    changed: int
    unchanged: int
    warnings: tuple[Finding, ...]
    errors: tuple[Finding, ...]

    def as_json(self) -> Json:
        return {
            "created": self.created,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "warning_count": len(self.warnings),
            "error_count": len(self.errors),
            "warnings": [found.as_json() for found in self.warnings[:MOST_FINDINGS]],
            "errors": [found.as_json() for found in self.errors[:MOST_FINDINGS]],
        }


async def import_areas(
    session: AsyncSession,
    rows: str | bytes,
    geometries: Sequence[Mapping[str, Any]] = (),
    *,
    at: datetime,
    progress: Progress | None = None,
) -> ImportReport:
    """Bring the areas of a CSV and of GeoJSON files (WGS-84) up to date, as of `at`.

    Columns: code, name, level, parent_code, and if wanted kind, households, population, lon, lat;
    the latter may also stand in the features' properties. What is not said stays as it is, areas
    that are not named stay untouched, equal ones too; a changed one ends its version and opens a
    new one. One import at a time.
    """
    table, drawings = await asyncio.to_thread(_read, rows, geometries)
    await _take_turn(session)
    current, latest = await _current(session)
    plan = await asyncio.to_thread(compare, current, table, drawings)
    if plan.errors:
        return ImportReport(0, 0, 0, tuple(plan.warnings), tuple(plan.errors))
    # a clock that was set back must not close a version before it began
    await _write(session, plan, max(at, latest or at), progress)
    return ImportReport(
        len(plan.created), len(plan.changed), plan.unchanged, tuple(plan.warnings), ()
    )


async def seed_reference(session: AsyncSession, folder: Path, at: datetime) -> ImportReport:
    """Import the reference district from its folder; a second time changes nothing."""
    rows, geometries = await asyncio.to_thread(_reference, folder)
    return await import_areas(session, rows, geometries, at=at)


def _reference(folder: Path) -> tuple[bytes, list[Json]]:
    files = [orjson.loads((folder / name).read_bytes()) for name in _FILES]
    return (folder / "areas.csv").read_bytes(), files


def _read(rows: str | bytes, geometries: Sequence[Mapping[str, Any]]) -> tuple[Table, Drawings]:
    return read_table(rows), read_drawings(geometries)


async def _take_turn(session: AsyncSession) -> None:
    """Hold the revision's row until the transaction ends: other imports wait."""
    await session.execute(upsert(AreaRevision).values(id=1, revision=0).on_conflict_do_nothing())
    await session.execute(select(AreaRevision.revision).with_for_update())


async def _current(session: AsyncSession) -> tuple[dict[str, Version], datetime | None]:
    """The current versions by code, and when the youngest of them began."""
    columns = [getattr(Area, name) for name in FIELDS]
    rows = await session.execute(
        select(Area.code, Area.valid_from, *columns).where(Area.valid_to.is_(None))
    )
    current: dict[str, Version] = {}
    latest: datetime | None = None
    for code, began, *values in rows:
        current[code] = dict(zip(FIELDS, values, strict=True))
        latest = max(began, latest or began)
    return current, latest


async def _write(
    session: AsyncSession, plan: Plan, at: datetime, progress: Progress | None
) -> None:
    versions = plan.changed | plan.created
    total, done = plan.unchanged + len(versions), plan.unchanged
    await _tell(progress, done, total)
    if not versions:
        return
    await session.execute(
        update(Area)
        .where(Area.valid_to.is_(None), Area.code.in_(list(plan.changed)))
        .values(valid_to=at)
        .execution_options(synchronize_session=False)
    )
    rows = [{"code": code, "valid_from": at, **version} for code, version in versions.items()]
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        await session.execute(insert(Area), chunk)
        done += len(chunk)
        await _tell(progress, done, total)
    await session.execute(update(AreaRevision).values(revision=AreaRevision.revision + 1))


async def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        await progress(done, total)
