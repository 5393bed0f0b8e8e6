"""Oneself: what I am, where I am signed in, my password."""

from uuid import UUID

from fastapi import APIRouter, Depends, Response
from sqlalchemy import ColumnElement, select

from app.accounts.caller import Caller
from app.accounts.dependencies import (
    ChangesRights,
    CurrentCaller,
    IdentifiedRoute,
    SignedInCaller,
    ThePages,
    no_store,
)
from app.accounts.errors import LoginSessionNotFound
from app.accounts.models import LoginSession
from app.accounts.passwords import change_password
from app.accounts.schemas import (
    HeldRole,
    LoginSessionView,
    MeView,
    PasswordCommand,
    PersonBrief,
    UnitBrief,
)
from app.accounts.sign_in_errors import (
    AccountLocked,
    OldPasswordWrong,
    PasswordTooWeak,
    PasswordUsedBefore,
)
from app.accounts.tokens import end_sessions
from app.core import audit
from app.core.errors import CursorInvalid, Unauthenticated
from app.core.http import Reading, TheResources, problems
from app.core.paging import Page

router = APIRouter(
    prefix="/me", tags=["me"], dependencies=[Depends(no_store)], route_class=IdentifiedRoute
)


@router.get("", responses=problems(Unauthenticated))
async def read_me(caller: SignedInCaller) -> MeView:
    """Who I am, my roles and where they reach."""
    units = {
        held.unit_id: UnitBrief(
            id=held.unit_id, code=held.unit_code, name=held.unit_name, level=held.level
        )
        for held in caller.holdings
    }
    return MeView(
        person=PersonBrief(id=caller.id, name=caller.name, username=caller.username),
        kind=caller.kind,
        roles=[HeldRole(role=held.role, unit=units[held.unit_id]) for held in caller.holdings],
        units=list(units.values()),
        grids=sorted(caller.grid_codes),
        terminal=caller.terminal_id,
        permissions=sorted(caller.permissions),
        must_change_password=caller.must_change_password,
    )


@router.get("/sessions", responses=problems(Unauthenticated, CursorInvalid))
async def list_my_sessions(
    resources: TheResources,
    session: Reading,
    pages: ThePages,
    caller: CurrentCaller,
) -> Page[LoginSessionView]:
    """Where I am signed in, newest first."""
    position = pages.position(f"my-sessions:{caller.id}")
    question = select(LoginSession).where(
        _mine(caller),
        LoginSession.revoked_at.is_(None),
        LoginSession.expires_at > resources.clock.now(),
    )
    if position is not None:
        question = question.where(LoginSession.id < UUID(position[0]))
    rows = await session.scalars(question.order_by(LoginSession.id.desc()).limit(pages.fetch))
    page, following = pages.cut(rows.all(), lambda login: [str(login.id)])
    return Page(items=[_shown(login, caller) for login in page], next=following)


@router.delete(
    "/sessions/{session_id}",
    status_code=204,
    responses=problems(Unauthenticated, LoginSessionNotFound),
)
async def end_my_session(
    session_id: UUID, resources: TheResources, session: ChangesRights, caller: CurrentCaller
) -> Response:
    """Sign out one of my sessions, this one included."""
    now = resources.clock.now()
    ended = await end_sessions(
        session, _mine(caller), LoginSession.id == session_id, at=now, reason="signed-out"
    )
    if not ended:
        raise LoginSessionNotFound
    await audit.note(
        session,
        at=now,
        actor_id=caller.id,
        action="session.ended",
        target=("session", session_id),
        reason="signed-out",
    )
    return Response(status_code=204)


@router.post(
    "/password",
    status_code=204,
    responses=problems(
        Unauthenticated, OldPasswordWrong, AccountLocked, PasswordTooWeak, PasswordUsedBefore
    ),
)
async def change_my_password(
    resources: TheResources, caller: SignedInCaller, command: PasswordCommand
) -> Response:
    """All my other sessions end."""
    await change_password(resources, caller, command.old, command.new)
    return Response(status_code=204)


def _mine(caller: Caller) -> ColumnElement[bool]:
    owner = LoginSession.person_id if caller.kind == "person" else LoginSession.platform_id
    return owner == caller.id


def _shown(login: LoginSession, caller: Caller) -> LoginSessionView:
    return LoginSessionView(
        id=login.id,
        terminal_id=login.terminal_id,
        created_at=login.created_at,
        last_used_at=login.last_used_at,
        expires_at=login.expires_at,
        current=login.id == caller.session_id,
    )
