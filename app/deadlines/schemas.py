"""Calendars, office hours and limits on the wire."""

from datetime import date
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.accounts.caller import UnitLevel
from app.core.fields import Code, Command, Count, Line, View
from app.core.paging import Page
from app.deadlines.importing import MAX_ROWS, ImportReport, Mistake, Outcome
from app.deadlines.models import Calendar, DayKind, Stage, Urgency
from app.deadlines.working_time import SessionsInvalid, read_sessions

YEAR_MINUTES = 366 * 24 * 60
ClockText = Annotated[
    str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", max_length=5)
]
"""`HH:MM`, local time; 24:00 ends a day."""
Amount = Annotated[int, Field(ge=1, le=YEAR_MINUTES)]
CardAmount = Annotated[int, Field(ge=0, le=YEAR_MINUTES)]
Days = Annotated[int, Field(ge=0, le=366)]
Revision = Annotated[int, Field(ge=1, le=2**53)]


def _in_order(sessions: list[tuple[str, str]]) -> list[tuple[str, str]]:
    try:
        read_sessions(sessions)
    except SessionsInvalid as invalid:
        raise PydanticCustomError(
            "sessions_invalid", "Each session ends after it starts; they are in order and apart"
        ) from invalid
    return sessions


OfficeSessions = Annotated[
    list[tuple[ClockText, ClockText]],
    Field(min_length=1, max_length=6),
    AfterValidator(_in_order),
]


class CalendarDayView(View):
    day: date
    kind: DayKind
    name: Line
    source: Line


class CalendarPage(Page[CalendarDayView]):
    """Days of one year that differ from the week."""

    published: bool
    """False: the year's holidays are not known yet, Monday to Friday count as working days."""


class CalendarImport(Command):
    csv: str = Field(min_length=1, max_length=500_000)
    """`day,kind,name` and a row a day; `kind` is workday or holiday."""
    dry_run: bool = False


class ImportedDay(View):
    line: Count
    day: str = Field(max_length=200)
    outcome: Outcome
    code: Mistake | None
    message: Line | None


class CalendarImportView(View):
    applied: bool
    added: Count
    changed: Count
    unchanged: Count
    refused: Count
    rows: list[ImportedDay] = Field(max_length=MAX_ROWS)

    @classmethod
    def of(cls, report: ImportReport) -> Self:
        return cls(
            applied=report.applied,
            added=report.count("added"),
            changed=report.count("changed"),
            unchanged=report.count("unchanged"),
            refused=report.count("refused"),
            rows=[ImportedDay.model_validate(row) for row in report.rows],
        )


class LimitView(View):
    id: Count
    category_code: Code | None
    urgency: Urgency
    level: UnitLevel | None
    stage: Stage
    minutes: Amount
    """In the working calendar 420 are one working day."""
    calendar: Calendar
    extension_days_max: Days | None
    yellow_card_minutes: CardAmount | None
    red_card_minutes: CardAmount | None
    revision: Revision


class LimitChange(Command):
    """One limit, named by category, urgency, level and stage; null means any."""

    category_code: Code | None = None
    urgency: Urgency
    level: UnitLevel | None = None
    stage: Stage
    minutes: Amount
    calendar: Calendar
    extension_days_max: Days | None = None
    yellow_card_minutes: CardAmount | None = None
    """After the due time; null: at once."""
    red_card_minutes: CardAmount | None = None
    """After the due time; null: as much again as the limit, at least an hour."""
    revision: Revision | None = None
    """The one you saw; left out for a new limit."""

    @model_validator(mode="after")
    def _yellow_before_red(self) -> Self:
        if self.red_card_minutes is not None and (
            self.red_card_minutes < (self.yellow_card_minutes or 0)
        ):
            raise PydanticCustomError(
                "cards_out_of_order", "The red card can't come before the yellow one"
            )
        return self


class OfficeHoursView(View):
    unit_id: UUID | None
    """Null: the default of every unit without hours of its own."""
    sessions: OfficeSessions


class OfficeHoursChange(Command):
    sessions: OfficeSessions
