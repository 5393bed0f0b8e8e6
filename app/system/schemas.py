"""What health answers."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from app.core.fields import View

Word = Annotated[str, StringConstraints(max_length=100)]


class Liveness(View):
    status: Literal["live"] = "live"


class Readiness(View):
    status: Literal["ready"] = "ready"
    store: Literal["ok", "unavailable"]


class PoolView(View):
    size: int = Field(ge=0, le=1000)
    in_use: int = Field(ge=0, le=1000)


class HealthDetail(View):
    """The whole picture for people on duty; ages in seconds, null where one can't be read."""

    status: Literal["ready", "not-ready"]
    reasons: list[Word] = Field(max_length=20)
    store: Literal["ok", "unavailable"]
    pool: PoolView
    disk_used: float = Field(ge=0, le=1)
    """Of the fullest watched disk; 0 where none is watched."""
    loop_lag_ms: float = Field(ge=0, le=1e9)
    ages: dict[str, Annotated[float, Field(ge=0, le=1e12)] | None] = Field(max_length=100)
    version: Word
    started_at: datetime
    server_time: datetime
