"""Who stands behind an access token: one statement, kept for two seconds."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Select, Uuid, and_, any_, bindparam, case, func, null, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access_tokens import AccessClaims
from app.accounts.caller import Caller, Holding
from app.accounts.models import (
    LoginSession,
    Person,
    PersonGrid,
    Platform,
    RoleHolding,
    Terminal,
    Unit,
)
from app.accounts.permissions import Role
from app.accounts.sign_in_errors import SessionEnded
from app.core.batching import Batched
from app.core.db import Sessions
from app.core.resources import Resources

KEPT_FOR = timedelta(seconds=2)
"""How long a revocation made by another process may go unnoticed here."""
_MOST = 20_000
_AT_ONCE = 500


class CallerCache:
    """Callers by session. Get it with `resources.the(CallerCache)`."""

    def __init__(self, resources: Resources) -> None:
        self._clock = resources.clock
        self._sessions = resources.sessions
        self._kept: dict[UUID, tuple[datetime, Caller]] = {}
        self._asking = Batched(self._find, _AT_ONCE)
        self.generation = 0

    def get(self, session_id: UUID) -> Caller | None:
        kept = self._kept.get(session_id)
        if kept is None or not kept[0] > self._clock.now():
            return None
        return kept[1]

    def put(self, caller: Caller, generation: int) -> None:
        """Keep what was read in `generation`; ignored if something was revoked since."""
        if generation != self.generation:
            return
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[caller.session_id] = (self._clock.now() + KEPT_FOR, caller)

    async def read(self, session_id: UUID) -> Caller:
        """From the tables; whoever asks at the same moment is found by the same statement.

        Raises SessionEnded.
        """
        generation = self.generation
        row = await self._asking.ask(session_id)
        caller = _caller_of(session_id, row, self._clock.now())
        self.put(caller, generation)
        return caller

    async def _find(self, ids: Sequence[UUID]) -> Sequence[Any]:
        rows = await self._sessions.rows(_QUESTION, {"session_ids": list(ids)})
        found = {row.id: row for row in rows}
        return [found.get(id_) for id_ in ids]

    def clear(self) -> None:
        """Called after the commit of every change of rights: the next request reads anew."""
        self.generation += 1
        self._kept.clear()


async def recognise(resources: Resources, claims: AccessClaims) -> Caller:
    """The caller of a valid access token; holds no connection afterwards. Raises SessionEnded."""
    cache = resources.the(CallerCache)
    caller = cache.get(claims.session_id)
    if caller is None:
        caller = await cache.read(claims.session_id)
    if caller.id != claims.subject:
        raise SessionEnded
    return replace(caller, expires_at=claims.expires_at)


async def ended_sessions(sessions: Sessions, ids: Collection[UUID], now: datetime) -> set[UUID]:
    """Those of these sign-ins that have ended: one question for all long-lived streams (P7)."""
    rows = await sessions.rows(_ALIVE, {"ids": list(ids), "now": now})
    return set(ids) - {row.id for row in rows}


async def load_caller(session: AsyncSession, session_id: UUID, now: datetime) -> Caller:
    """Fresh from the tables; `expires_at` is the session's. Raises SessionEnded."""
    found = await session.execute(_QUESTION, {"session_ids": [session_id]})
    return _caller_of(session_id, found.one_or_none(), now)


def _caller_of(session_id: UUID, row: Any, now: datetime) -> Caller:  # noqa: ANN401 - a row
    if row is None or not _alive(row, now):
        raise SessionEnded
    person_id: UUID | None = row.person_id
    return Caller(
        id=person_id or row.platform_id,
        name=row.name,
        username=row.username,
        kind="person" if person_id else "platform",
        session_id=session_id,
        terminal_id=row.terminal_id,
        holdings=tuple(_holding(held) for held in row.holdings or ()),
        grid_codes=frozenset(row.grids or ()),
        expires_at=row.expires_at,
        must_change_password=bool(row.must_change_password),
    )


def _alive(row: Any, now: datetime) -> bool:  # noqa: ANN401 - a row of the question
    is_alive: bool = (
        row.revoked_at is None
        and row.expires_at > now
        and row.state == "active"
        and (row.terminal_id is None or row.terminal_state == "active")
    )
    return is_alive


def _holding(held: dict[str, Any]) -> Holding:
    return Holding(
        role=Role(held["role"]),
        unit_id=UUID(held["unit_id"]),
        unit_code=held["code"],
        unit_name=held["name"],
        level=held["level"],
        kind=held["kind"],
        area_code=held["area_code"],
    )


def _unit_facts(role: Any) -> Any:  # noqa: ANN401 - SQL expressions
    return func.jsonb_agg(
        func.jsonb_build_object(
            "role", role, "unit_id", Unit.id, "code", Unit.code, "name", Unit.name,
            "level", Unit.level, "kind", Unit.kind, "area_code", Unit.area_code,
        )
    )  # fmt: skip


def _question() -> Select[*tuple[Any, ...]]:
    """Roles in units that were switched off do not count."""
    held = (
        select(_unit_facts(RoleHolding.role))
        .join(Unit, and_(Unit.id == RoleHolding.unit_id, Unit.active))
        .where(RoleHolding.person_id == LoginSession.person_id)
        .scalar_subquery()
    )
    platform_held = (
        select(_unit_facts(Role.PLATFORM.value))
        .where(Unit.id == Platform.unit_id, Unit.active)
        .scalar_subquery()
    )
    grids = (
        select(func.jsonb_agg(PersonGrid.grid_code))
        .where(PersonGrid.person_id == LoginSession.person_id)
        .scalar_subquery()
    )
    is_person = LoginSession.person_id.is_not(null())
    return (
        select(
            LoginSession.id,
            LoginSession.person_id,
            LoginSession.platform_id,
            LoginSession.terminal_id,
            LoginSession.expires_at,
            LoginSession.revoked_at,
            Person.must_change_password,
            Terminal.state.label("terminal_state"),
            func.coalesce(Person.name, Platform.name).label("name"),
            func.coalesce(Person.username, Platform.code).label("username"),
            func.coalesce(Person.state, Platform.state).label("state"),
            case((is_person, held), else_=platform_held).label("holdings"),
            grids.label("grids"),
        )
        .outerjoin(Person, Person.id == LoginSession.person_id)
        .outerjoin(Platform, Platform.id == LoginSession.platform_id)
        .outerjoin(Terminal, Terminal.id == LoginSession.terminal_id)
        .where(LoginSession.id == any_(bindparam("session_ids", type_=ARRAY(Uuid))))
    )


_QUESTION = _question()
"""Made once: making it costs more than asking it."""
_ALIVE = text(
    """
    SELECT s.id FROM login_sessions s
    LEFT JOIN people p ON p.id = s.person_id
    LEFT JOIN platforms f ON f.id = s.platform_id
    LEFT JOIN terminals t ON t.id = s.terminal_id
    WHERE s.id = ANY(:ids) AND s.revoked_at IS NULL AND s.expires_at > :now
      AND coalesce(p.state, f.state) = 'active' AND coalesce(t.state, 'active') = 'active'
    """
)
