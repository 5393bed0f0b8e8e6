from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from app.core.fields import Count, View


class RuleView(View):
    id: UUID
    version: Count
    position: Count
    name: str = Field(max_length=200)
    category: str | None = Field(max_length=64)
    urgency: str | None = Field(max_length=20)
    area_code: str | None = Field(max_length=64)
    from_time: str | None = Field(max_length=5)
    until_time: str | None = Field(max_length=5)
    level: str | None = Field(max_length=20)
    unit_code: str | None = Field(max_length=64)
    inform: list[Annotated[str, Field(max_length=64)]] = Field(max_length=10)


class DecisionView(View):
    incident_id: UUID
    unit_id: UUID
    rule_id: UUID | None
    rule_version: Count | None
    trace: dict[str, Any]
    decided_at: datetime
