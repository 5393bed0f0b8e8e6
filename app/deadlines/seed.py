"""Limits, office hours and published calendars a district starts with. Idempotent."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from typing import Any

from chinese_calendar.constants import Holiday, holidays, workdays
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import new_id
from app.deadlines.defaults import DEFAULT_LIMITS, DEFAULT_SESSIONS
from app.deadlines.models import CalendarDay, Limit, OfficeHours

SOURCE = "chinesecalendar"


async def seed(session: AsyncSession) -> None:
    """Insert what is missing; never overwrites what was set or imported."""
    limits = [asdict(rule) for rule in DEFAULT_LIMITS]
    await session.execute(insert(Limit).on_conflict_do_nothing(), limits)
    await session.execute(insert(CalendarDay).on_conflict_do_nothing(), list(published_days()))
    hours = {"id": new_id(), "unit_id": None, "sessions": DEFAULT_SESSIONS}
    await session.execute(insert(OfficeHours).values(hours).on_conflict_do_nothing())


def published_days() -> Iterator[dict[str, Any]]:
    """Every legal holiday and 调休 workday that `chinesecalendar` knows."""
    for day, name in holidays.items():
        yield _row(day, "holiday", _chinese(name))
    for day, name in workdays.items():
        yield _row(day, "workday", f"{_chinese(name)}调休")


def _row(day: date, kind: str, name: str) -> dict[str, Any]:
    return {"day": day, "kind": kind, "name": name, "source": SOURCE}


def _chinese(english: str) -> str:
    return str(Holiday(english).chinese)
