"""The division tree, version by version; its revision; the imports that change it."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Json, Model

Level = Literal["province", "city", "district", "township", "village", "grid"]
Kind = Literal["rural", "urban"]
ImportState = Literal["queued", "running", "done", "failed"]

CODE_LENGTH = 32


class Area(Model):
    """One version of one area. Exactly one version of a code has no end: the current one.

    `parent_code` is a code, not a version: a parent that changes its name keeps its children.
    """

    __tablename__ = "areas"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    code: Mapped[str]
    name: Mapped[str]
    level: Mapped[str]
    parent_code: Mapped[str | None]
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    """The first instant at which this version no longer held."""
    kind: Mapped[str | None]
    households: Mapped[int | None]
    population: Mapped[int | None]
    lon: Mapped[float | None]
    """An inner point, WGS-84."""
    lat: Mapped[float | None]
    geometry: Mapped[Json | None]
    """GeoJSON Polygon or MultiPolygon, WGS-84."""

    __table_args__ = (
        Index("uq_areas_code_current", "code", unique=True, postgresql_where="valid_to IS NULL"),
        Index("ix_areas_code_valid_from", "code", "valid_from"),
        Index(
            "ix_areas_parent_code_code",
            "parent_code",
            "code",
            postgresql_where="valid_to IS NULL",
        ),
        CheckConstraint(
            "level IN ('province','city','district','township','village','grid')", name="level"
        ),
        CheckConstraint("kind IN ('rural','urban')", name="kind"),
        CheckConstraint(f"length(code) BETWEEN 1 AND {CODE_LENGTH}", name="code"),
        CheckConstraint("valid_to >= valid_from", name="validity"),
        CheckConstraint("households >= 0 AND population >= 0", name="counts"),
    )


class AreaRevision(Model):
    """One row: the number that grows with every change, and the lock that lets one import in."""

    __tablename__ = "area_revisions"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    revision: Mapped[int]

    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)


class AreaImport(Model):
    """How far an import has come. `beat_at` moves while its process lives."""

    __tablename__ = "area_imports"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    state: Mapped[str]
    done: Mapped[int]
    total: Mapped[int]
    report: Mapped[Json | None]
    created_by: Mapped[UUID | None]
    created_at: Mapped[datetime]
    beat_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("state IN ('queued','running','done','failed')", name="state"),
        CheckConstraint("done BETWEEN 0 AND total", name="progress"),
    )


Geometry = dict[str, Any]
"""A GeoJSON geometry."""
