"""Applying a callback: the platform acts in its unit, in the order it has numbered."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn, cast
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.caller import Caller, Holding, UnitKind, UnitLevel
from app.accounts.models import Platform, Unit
from app.accounts.permissions import Role
from app.core.db import Json
from app.core.errors import Forbidden, InternalError, Problem, ValidationFailed
from app.core.events import record
from app.deadlines.limits import Deadlines
from app.incidents.errors import ActionNotAllowed
from app.incidents.handling import move
from app.incidents.models import Incident
from app.incidents.visibility import visible_to
from app.webhooks.callback_messages import CallbackMessage, explained, parsed
from app.webhooks.errors import IncidentUnknown
from app.webhooks.events import CallbackRefused
from app.webhooks.models import Callback

UNKNOWN, EARLIER_MISSING, STALE = IncidentUnknown.code, "earlier-missing", "stale"
LADDER = tuple(timedelta(seconds=seconds) for seconds in (10, 60, 600, 3600, 21_600, 86_400))
"""When an unknown incident is looked for again, after the callback came."""
HOLD = timedelta(minutes=10)
"""How long a callback waits for an earlier one that has not come."""
GIVE_UP = timedelta(hours=1)
"""The same, where without the earlier one its action is not allowed."""
FAILURES = 5
_SERVER_ERROR = 500
_NAME = 200
_DETAIL = 2000

log = structlog.get_logger()


class _Unsettled(Exception):  # noqa: N818 - names the fact
    """Not now."""

    def __init__(self, code: str, until: datetime) -> None:
        super().__init__(code)
        self.code, self.until = code, until


class _Stale(Exception):  # noqa: N818 - names the fact
    """A later one has been applied."""


@dataclass(frozen=True, slots=True)
class _Found:
    id: UUID
    number: str
    revision: int


async def apply(session: AsyncSession, row: Callback, deadlines: Deadlines, now: datetime) -> None:
    """Settle a callback or park it. The platform's callbacks are locked by the caller."""
    row.attempts += 1
    try:
        message = parsed(row.body)
        row.reference, row.sequence = message.reference, message.data.sequence
        caller = await acting(session, row.platform_id, message.data.actor, now)
        found = await _incident(session, caller, row, message, now)
        await _become_known(session, row, found, now)
        gap = await _await_turn(session, row, now)
        await _move(session, caller, row, message, found, deadlines, now, gap=gap)
    except _Unsettled as waiting:
        row.state, row.code, row.next_attempt_at = "parked", waiting.code, waiting.until
        return
    except _Stale:
        _settle(row, "ignored", STALE)
    except Problem as refusal:
        if refusal.status >= _SERVER_ERROR:
            raise
        await refuse(session, row, refusal, now)
    else:
        _settle(row, "applied", None)
        row.applied_at = now
    await session.flush()
    await _wake(session, row, Callback.incident_id == row.incident_id, now)


async def refuse(session: AsyncSession, row: Callback, refusal: Problem, now: datetime) -> None:
    """Settle it, and let the platform's endpoints be told."""
    _settle(row, "refused", refusal.code)
    words = explained(refusal) if isinstance(refusal, ValidationFailed) else refusal.detail("zh-CN")
    row.detail = words[:_DETAIL]
    platform = await session.get_one(Platform, row.platform_id)
    unit = await session.get_one(Unit, platform.unit_id)
    event = CallbackRefused(
        platform_id=platform.id,
        platform=platform.code,
        webhook_id=row.webhook_id,
        code=refusal.code,
        incident_id=row.incident_id,
        area_code=unit.area_code,
    )
    await record(session, event, at=now)


async def fail(session: AsyncSession, row: Callback, now: datetime) -> None:
    """After an error of ours: again a little later, five times; then it is given up, told."""
    row.attempts += 1
    row.failures += 1
    if row.failures < FAILURES:
        row.next_attempt_at = now + LADDER[0] * row.failures
        return
    log.error("callback_given_up", platform_id=str(row.platform_id), webhook_id=row.webhook_id)
    await refuse(session, row, InternalError(), now)


async def acting(
    session: AsyncSession, platform_id: UUID, actor: str | None, now: datetime
) -> Caller:
    """The platform as a caller in the unit it was given. Raises Forbidden where that has ended.

    `actor` is a name it claims: shown behind its own, and never looked up.
    """
    platform = await session.get_one(Platform, platform_id, populate_existing=True)
    unit = await session.get_one(Unit, platform.unit_id, populate_existing=True)
    if platform.state != "active" or not unit.active:
        raise Forbidden
    return Caller(
        id=platform.id,
        name=(f"{platform.name}（{actor}）" if actor else platform.name)[:_NAME],
        username=platform.code,
        kind="platform",
        session_id=platform.id,
        terminal_id=None,
        holdings=(_holding(unit),),
        grid_codes=frozenset(),
        expires_at=now,
    )


def _holding(unit: Unit) -> Holding:
    return Holding(
        role=Role.PLATFORM,
        unit_id=unit.id,
        unit_code=unit.code,
        unit_name=unit.name,
        level=cast("UnitLevel", unit.level),
        kind=cast("UnitKind", unit.kind),
        area_code=unit.area_code,
    )


async def _incident(
    session: AsyncSession, caller: Caller, row: Callback, message: CallbackMessage, now: datetime
) -> _Found:
    """The incident, locked: nobody settles another callback of it meanwhile."""
    data = message.data
    wanted = select(Incident.id, Incident.number, Incident.revision).where(visible_to(caller))
    if data.incident_id is not None:
        wanted = wanted.where(Incident.id == data.incident_id)
    if data.number is not None:
        wanted = wanted.where(Incident.number == data.number)
    found = (await session.execute(wanted.with_for_update(of=Incident))).one_or_none()
    if found is None:
        _look_again(row, now)
    return _Found(*found)


def _look_again(row: Callback, now: datetime) -> NoReturn:
    later = (row.received_at + wait for wait in LADDER)
    until = next((at for at in later if at > now), None)
    if until is None:
        raise IncidentUnknown
    raise _Unsettled(UNKNOWN, until)


async def _become_known(session: AsyncSession, row: Callback, found: _Found, now: datetime) -> None:
    """The first that finds its incident wakes the others that look for it."""
    if row.incident_id is not None:
        return
    row.incident_id = found.id
    await session.flush()
    looking = Callback.reference.in_([str(found.id), found.number])
    await _wake(session, row, looking & (Callback.code == UNKNOWN), now)


async def _await_turn(session: AsyncSession, row: Callback, now: datetime) -> bool:
    """Whether an earlier one is missing though we have waited for it. Raises _Stale, _Unsettled."""
    if row.sequence is None:
        return False
    applied, settled, waiting = await _others(session, row)
    if applied is not None and row.sequence <= applied:
        raise _Stale
    gap = row.sequence - 1 - (applied or 0) - settled > 0
    if not gap and not waiting:
        return False
    row.held_since = row.held_since or now
    if waiting:  # woken when that one is settled
        raise _Unsettled(EARLIER_MISSING, now + HOLD)
    if now < row.held_since + HOLD:
        raise _Unsettled(EARLIER_MISSING, row.held_since + HOLD)
    return gap


async def _others(session: AsyncSession, row: Callback) -> tuple[int | None, int, int]:
    """The last number applied; how many between it and ours are settled; how many wait."""
    of_it = (Callback.platform_id == row.platform_id, Callback.incident_id == row.incident_id)
    applied: int | None = await session.scalar(
        select(func.max(Callback.sequence)).where(*of_it, Callback.state == "applied")
    )
    earlier = (*of_it, Callback.sequence < row.sequence, Callback.sequence > (applied or 0))
    is_settled = Callback.next_attempt_at.is_(None)
    counted = await session.execute(
        select(
            func.count(Callback.sequence.distinct()).filter(is_settled),
            func.count().filter(~is_settled),
        ).where(*earlier)
    )
    settled, waiting = counted.one()
    return applied, settled, waiting


async def _move(
    session: AsyncSession,
    caller: Caller,
    row: Callback,
    message: CallbackMessage,
    found: _Found,
    deadlines: Deadlines,
    now: datetime,
    *,
    gap: bool,
) -> None:
    """Half a move is none: what it wrote goes with its refusal."""
    command = message.command(found.revision)
    try:
        async with session.begin_nested():
            await move(session, caller, found.id, command, deadlines, now, _facts(row, message))
    except ActionNotAllowed as refusal:
        until = (row.held_since or now) + GIVE_UP
        if gap and now < until:
            raise _Unsettled(refusal.code, until) from refusal
        raise


def _facts(row: Callback, message: CallbackMessage) -> Json:
    facts: Json = {"callback": row.webhook_id}
    if message.data.occurred_at is not None:
        facts["occurred_at"] = message.data.occurred_at.isoformat()
    return facts


def _settle(row: Callback, state: str, code: str | None) -> None:
    row.state, row.code, row.next_attempt_at = state, code, None


async def _wake(
    session: AsyncSession, row: Callback, which: ColumnElement[bool], now: datetime
) -> None:
    """What waited may be able to go on."""
    if row.incident_id is None:
        return
    await session.execute(
        update(Callback)
        .where(
            Callback.platform_id == row.platform_id,
            Callback.webhook_id != row.webhook_id,
            Callback.state == "parked",
            which,
        )
        .values(next_attempt_at=now)
        .execution_options(synchronize_session=False)
    )
