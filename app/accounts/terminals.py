"""Handsets: bound beforehand, approved, revoked when lost."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.enrolment import add_or_refuse
from app.accounts.errors import TerminalNotFound, TerminalTaken
from app.accounts.models import LoginSession, Person, Terminal
from app.accounts.queries import works_in
from app.accounts.tokens import end_sessions
from app.core import audit


async def bind(
    session: AsyncSession,
    *,
    terminal_id: str,
    person_id: UUID,
    model: str | None,
    actor_id: UUID,
    at: datetime,
) -> Terminal:
    """Register a handset before its first sign-in. Raises TerminalTaken."""
    terminal = Terminal(
        id=terminal_id, person_id=person_id, model=model, state="active", bound_at=at
    )
    await add_or_refuse(session, terminal, TerminalTaken())
    await _note(session, terminal, "terminal.bound", actor_id, at)
    return terminal


async def approve(
    session: AsyncSession, areas: Collection[str], terminal_id: str, actor_id: UUID, at: datetime
) -> Terminal:
    """Let a pending handset in, or a found one back in. Raises TerminalNotFound."""
    terminal = await find_terminal(session, areas, terminal_id)
    terminal.state = "active"
    await session.flush()
    await _note(session, terminal, "terminal.approved", actor_id, at)
    return terminal


async def revoke_terminal(
    session: AsyncSession, areas: Collection[str], terminal_id: str, actor_id: UUID, at: datetime
) -> Terminal:
    """Refuse a handset and end every session on it, whoever signed in. Raises TerminalNotFound."""
    terminal = await find_terminal(session, areas, terminal_id)
    terminal.state = "revoked"
    await session.flush()
    await end_sessions(
        session, LoginSession.terminal_id == terminal_id, at=at, reason="terminal-revoked"
    )
    await _note(session, terminal, "terminal.revoked", actor_id, at)
    return terminal


async def find_terminal(
    session: AsyncSession, areas: Collection[str], terminal_id: str
) -> Terminal:
    """A handset bound by somebody who works in these areas. Raises TerminalNotFound."""
    terminal = await session.scalar(
        select(Terminal)
        .join(Person, Person.id == Terminal.person_id)
        .where(Terminal.id == terminal_id, works_in(areas))
        .with_for_update(of=Terminal)
    )
    if terminal is None:
        raise TerminalNotFound
    return terminal


async def _note(
    session: AsyncSession, terminal: Terminal, action: str, actor_id: UUID, at: datetime
) -> None:
    await audit.note(
        session,
        at=at,
        actor_id=actor_id,
        action=action,
        target=("terminal", terminal.id),
        person_id=str(terminal.person_id),
    )
