"""How long matters are kept, what may not go, and which ids are taken for ever."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Model


class DeletedIncident(Model):
    """The id of a report that is gone: a repeat of it must not begin it anew (I8).

    Written by the database itself, whoever deletes.
    """

    __tablename__ = "deleted_incidents"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    deleted_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RetentionPeriod(Model):
    """How long files and people's data of a category are kept, where not as the settings say.

    The nearest category upwards that has a row decides; months after the matter ended.
    """

    __tablename__ = "retention_periods"

    category: Mapped[str] = mapped_column(ForeignKey("categories.code"), primary_key=True)
    media_months: Mapped[int | None]
    parties_months: Mapped[int | None]

    __table_args__ = (
        CheckConstraint("media_months > 0", name="media_months"),
        CheckConstraint("parties_months > 0", name="parties_months"),
    )


class LegalHold(Model):
    """A matter of which nothing is erased until the hold is lifted."""

    __tablename__ = "legal_holds"

    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    reason: Mapped[str]
    placed_at: Mapped[datetime]
