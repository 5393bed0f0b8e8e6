"""Tables: days that differ from the week, office hours, limits."""

from datetime import date
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, ForeignKey, Identity, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Model, new_id

DayKind = Literal["workday", "holiday"]
Urgency = Literal["routine", "urgent", "critical", "complex"]
Stage = Literal["accept", "dispatch", "sign", "handle", "verify"]
Calendar = Literal["always", "working"]
"""`always`: 24×7. `working`: minutes inside office sessions of working days."""


class CalendarDay(Model):
    """A day said to be a workday or a holiday. Days not listed follow the week."""

    __tablename__ = "calendar_days"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    source: Mapped[str]

    __table_args__ = (CheckConstraint("kind IN ('workday', 'holiday')", name="kind"),)


class OfficeHours(Model):
    """Sessions of a working day, of one unit or (without a unit) of all others."""

    __tablename__ = "office_hours"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("units.id"))
    sessions: Mapped[list[Any]]
    """`[["08:30", "12:00"], ["14:30", "18:00"]]`, local time, in order, apart."""

    __table_args__ = (UniqueConstraint("unit_id", postgresql_nulls_not_distinct=True),)


class Limit(Model):
    """How long a stage may take. The most specific row wins: category, its root, level, default."""

    __tablename__ = "limits"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    category_code: Mapped[str | None] = mapped_column(ForeignKey("categories.code"))
    urgency: Mapped[str]
    level: Mapped[str | None]
    stage: Mapped[str]
    minutes: Mapped[int]
    """In the working calendar 420 are one working day, whatever the length of a unit's own day."""
    calendar: Mapped[str]
    extension_days_max: Mapped[int | None]
    """None: this limit sets no bound of its own."""
    yellow_card_minutes: Mapped[int | None]
    """After `due_at`, counted as `minutes` are. None: at once."""
    red_card_minutes: Mapped[int | None]
    """After `due_at`. None: as much again as the limit, at least an hour."""
    revision: Mapped[int] = mapped_column(default=1, server_default=text("1"))

    __table_args__ = (
        UniqueConstraint(
            "category_code", "urgency", "level", "stage", postgresql_nulls_not_distinct=True
        ),
        CheckConstraint("urgency IN ('routine', 'urgent', 'critical', 'complex')", name="urgency"),
        CheckConstraint("level IN ('village', 'township', 'district')", name="level"),
        CheckConstraint(
            "stage IN ('accept', 'dispatch', 'sign', 'handle', 'verify')", name="stage"
        ),
        CheckConstraint("calendar IN ('always', 'working')", name="calendar"),
        CheckConstraint(
            "minutes > 0 AND extension_days_max >= 0 "
            "AND yellow_card_minutes >= 0 AND red_card_minutes >= yellow_card_minutes",
            name="amounts",
        ),
    )
