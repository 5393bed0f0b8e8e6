"""The audit trail, read by auditors."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy import ColumnElement, select

from app.accounts.caller import Caller
from app.accounts.dependencies import (
    IdentifiedRoute,
    TheAreaMap,
    ThePages,
    no_store,
    require,
)
from app.accounts.models import Person
from app.accounts.permissions import Permission
from app.accounts.queries import works_in
from app.accounts.schemas import AuditView
from app.accounts.scope import areas_below, roles_with, roots_for
from app.core.audit import AuditEntry
from app.core.errors import CursorInvalid, Forbidden, Unauthenticated
from app.core.fields import Code, Instant, Line
from app.core.http import Reading, problems
from app.core.paging import Page

router = APIRouter(
    prefix="/audit", tags=["audit"], dependencies=[Depends(no_store)], route_class=IdentifiedRoute
)


@dataclass(frozen=True)
class AuditFilters:
    """What is left out does not narrow. `until` is not included."""

    actor_id: Annotated[UUID | None, Query()] = None
    action: Annotated[Code | None, Query()] = None
    object_kind: Annotated[Code | None, Query()] = None
    object_id: Annotated[Line | None, Query()] = None
    since: Annotated[Instant | None, Query()] = None
    until: Annotated[Instant | None, Query()] = None

    def conditions(self) -> list[ColumnElement[bool]]:
        names = ("actor_id", "action", "object_kind", "object_id")
        asked = [(getattr(AuditEntry, name), getattr(self, name)) for name in names]
        found = [column == value for column, value in asked if value is not None]
        if self.since is not None:
            found.append(AuditEntry.at >= self.since)
        if self.until is not None:
            found.append(AuditEntry.at < self.until)
        return found


@router.get("", responses=problems(Unauthenticated, Forbidden, CursorInvalid))
async def list_audit_entries(
    areas: TheAreaMap,
    session: Reading,
    pages: ThePages,
    caller: Annotated[Caller, Depends(require(Permission.READ_AUDIT))],
    filters: Annotated[AuditFilters, Depends()],
) -> Page[AuditView]:
    """Newest first. A district's auditor reads everything, others what people below them did."""
    position = pages.position(f"audit:{caller.id}:{filters}")
    question = select(AuditEntry).where(*filters.conditions())
    if position is not None:
        question = question.where(AuditEntry.id < int(position[0]))
    if not _reads_everything(caller):
        roots = roots_for(caller, Permission.READ_AUDIT)
        below = select(Person.id).where(works_in(areas_below(areas, roots)))
        question = question.where(AuditEntry.actor_id.in_(below))
    rows = await session.scalars(question.order_by(AuditEntry.id.desc()).limit(pages.fetch))
    page, following = pages.cut(rows.all(), lambda entry: [entry.id])
    return Page(items=[AuditView.model_validate(row) for row in page], next=following)


def _reads_everything(caller: Caller) -> bool:
    held = caller.holds(*roles_with(Permission.READ_AUDIT))
    return any(holding.level == "district" for holding in held)
