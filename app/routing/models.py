from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Json, Model, new_id


class RuleSet(Model):
    """One version of the rules: written once, never changed, kept for the decisions that name it.

    In force is the set whose `valid_from` passed last; without one it is a draft.
    """

    __tablename__ = "routing_rule_sets"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    valid_from: Mapped[datetime | None]
    note: Mapped[str | None]
    created_by: Mapped[UUID | None]
    """None: the seed."""
    created_at: Mapped[datetime]

    __table_args__ = (Index("ix_routing_rule_sets_valid_from", "valid_from"),)


class RoutingRule(Model):
    """One line of a rule set; a set is replaced whole, under a new version."""

    __tablename__ = "routing_rules"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(ForeignKey("routing_rule_sets.version"))
    position: Mapped[int]
    name: Mapped[str]
    category: Mapped[str | None]
    """A root or a full code; None matches every category. So for the other conditions."""
    urgency: Mapped[str | None]
    area_code: Mapped[str | None]
    """Any area of the incident's lineage."""
    from_time: Mapped[str | None]
    until_time: Mapped[str | None]
    """Local time of day, HH:MM, from inclusive, until exclusive; may cross midnight."""
    level: Mapped[str | None]
    """The centre of this level; None where `unit_code` names the unit."""
    unit_code: Mapped[str | None]
    inform: Mapped[list[Any]] = mapped_column(JSONB)
    """Levels whose centres are told at once."""
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("version", "position"),)


class Decision(Model):
    """Why an incident's first step was opened where it was."""

    __tablename__ = "routing_decisions"

    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("units.id"))
    rule_id: Mapped[UUID | None] = mapped_column(ForeignKey("routing_rules.id"))
    rule_version: Mapped[int | None]
    trace: Mapped[Json] = mapped_column(JSONB)
    decided_at: Mapped[datetime]

    __table_args__ = (Index("ix_routing_decisions_decided_at", "decided_at"),)


class DryRun(Model):
    """A changed rule set tried out on past matters, and how far that is."""

    __tablename__ = "routing_dry_runs"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    state: Mapped[str]
    examined: Mapped[int]
    report: Mapped[Json | None] = mapped_column(JSONB)
    created_by: Mapped[UUID]
    created_at: Mapped[datetime]
    beat_at: Mapped[datetime]
    """When its process was last heard of."""
    finished_at: Mapped[datetime | None]
