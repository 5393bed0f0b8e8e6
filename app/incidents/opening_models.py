"""Who may know of a sealed matter, and who read what is told to few."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, false
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Model, new_id


class Opening(Model):
    """Somebody opened what a sealed matter says, or the people of any: why, and until when."""

    __tablename__ = "openings"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id", ondelete="CASCADE"))
    kind: Mapped[str]
    person_id: Mapped[UUID]
    person_name: Mapped[str]
    reason: Mapped[str]
    """Of a sealed matter under its own key."""
    at: Mapped[datetime]
    until: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("kind IN ('content', 'people', 'glass')", name="kind"),
        Index("ix_openings_incident_id", "incident_id", "at"),
        Index("ix_openings_person_id", "person_id", "incident_id", "until"),
    )


class Clearance(Model):
    """知悉名单: a handler who may know of a sealed matter; where there is a list, no other may.

    `broke_glass`: somebody above who is on no list and said why it could not wait.
    """

    __tablename__ = "clearances"

    incident_id: Mapped[UUID] = mapped_column(
        ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True
    )
    person_id: Mapped[UUID] = mapped_column(primary_key=True)
    broke_glass: Mapped[bool] = mapped_column(server_default=false())
    granted_by: Mapped[UUID]
    granted_at: Mapped[datetime]

    __table_args__ = (
        Index("ix_clearances_broke_glass", "person_id", postgresql_where=sql("broke_glass")),
    )
