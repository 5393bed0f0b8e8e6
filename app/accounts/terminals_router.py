"""Terminals: bound, approved, revoked by a security officer."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy import select

from app.accounts.caller import Caller
from app.accounts.dependencies import (
    ChangesRights,
    IdentifiedRoute,
    TheAreaMap,
    ThePages,
    no_store,
    require,
)
from app.accounts.errors import PersonNotFound, TerminalNotFound, TerminalTaken
from app.accounts.models import Person, Terminal
from app.accounts.permissions import Permission
from app.accounts.queries import works_in
from app.accounts.schemas import NewTerminalCommand, TerminalView
from app.accounts.scope import areas_below, roots_for
from app.accounts.staffing import find_person
from app.accounts.terminals import approve, bind, revoke_terminal
from app.core.errors import CursorInvalid, Forbidden, Unauthenticated
from app.core.fields import Code
from app.core.http import Reading, TheResources, problems
from app.core.paging import Page

router = APIRouter(
    prefix="/terminals",
    tags=["terminals"],
    dependencies=[Depends(no_store)],
    route_class=IdentifiedRoute,
)

Reader = Annotated[Caller, Depends(require(Permission.READ_TERMINALS))]
Manager = Annotated[Caller, Depends(require(Permission.MANAGE_TERMINALS))]


@router.get("", responses=problems(Unauthenticated, Forbidden, CursorInvalid))
async def list_terminals(
    areas: TheAreaMap,
    session: Reading,
    pages: ThePages,
    caller: Reader,
    person_id: Annotated[UUID | None, Query()] = None,
    state: Literal["active", "pending", "revoked"] | None = None,
) -> Page[TerminalView]:
    """Handsets bound by people of the caller's subtree."""
    position = pages.position(f"terminals:{person_id}:{state}")
    within = areas_below(areas, roots_for(caller, Permission.READ_TERMINALS))
    question = (
        select(Terminal).join(Person, Person.id == Terminal.person_id).where(works_in(within))
    )
    if person_id is not None:
        question = question.where(Terminal.person_id == person_id)
    if state is not None:
        question = question.where(Terminal.state == state)
    if position is not None:
        question = question.where(Terminal.id > str(position[0]))
    rows = await session.scalars(question.order_by(Terminal.id).limit(pages.fetch))
    page, following = pages.cut(rows.all(), lambda terminal: [terminal.id])
    return Page(items=[TerminalView.model_validate(row) for row in page], next=following)


@router.post(
    "",
    status_code=201,
    responses=problems(Unauthenticated, Forbidden, PersonNotFound, TerminalTaken),
)
async def bind_terminal(
    command: NewTerminalCommand,
    resources: TheResources,
    areas: TheAreaMap,
    session: ChangesRights,
    caller: Manager,
) -> TerminalView:
    """Register a handset for somebody before its first sign-in."""
    person = await find_person(session, _managed(areas, caller), command.person_id)
    terminal = await bind(
        session,
        terminal_id=command.id,
        person_id=person.id,
        model=command.model,
        actor_id=caller.id,
        at=resources.clock.now(),
    )
    return TerminalView.model_validate(terminal)


@router.post(
    "/{terminal_id}/approve", responses=problems(Unauthenticated, Forbidden, TerminalNotFound)
)
async def approve_terminal(
    terminal_id: Code,
    resources: TheResources,
    areas: TheAreaMap,
    session: ChangesRights,
    caller: Manager,
) -> TerminalView:
    """Let a waiting handset in, or a found one back in."""
    now = resources.clock.now()
    terminal = await approve(session, _managed(areas, caller), terminal_id, caller.id, now)
    return TerminalView.model_validate(terminal)


@router.post(
    "/{terminal_id}/revoke", responses=problems(Unauthenticated, Forbidden, TerminalNotFound)
)
async def revoke_lost_terminal(
    terminal_id: Code,
    resources: TheResources,
    areas: TheAreaMap,
    session: ChangesRights,
    caller: Manager,
) -> TerminalView:
    """A lost handset: every session on it ends at once."""
    now = resources.clock.now()
    terminal = await revoke_terminal(session, _managed(areas, caller), terminal_id, caller.id, now)
    return TerminalView.model_validate(terminal)


def _managed(areas: TheAreaMap, caller: Caller) -> frozenset[str]:
    return areas_below(areas, roots_for(caller, Permission.MANAGE_TERMINALS))
