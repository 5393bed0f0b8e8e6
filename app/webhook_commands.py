"""`etong webhooks …`: endpoints of other platforms, seen and managed at the machine itself."""

import argparse
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.asking import asked
from app.core.clock import SystemClock
from app.core.db import Sessions, make_engine
from app.core.errors import Problem
from app.core.settings import Settings
from app.webhooks import endpoints
from app.webhooks.errors import EndpointNotFound
from app.webhooks.models import Delivery, Endpoint
from app.webhooks.schemas import ReplayCommand

DONE, REFUSED, NOT_ASKED = 0, 1, 2
"""Exit statuses; the last: the database could not be asked, or the words make no sense."""

Say = Callable[[str], None]
Act = Callable[[AsyncSession, Endpoint, datetime], Awaitable[str]]


async def listed(session: AsyncSession, now: datetime, say: Say) -> None:
    """One line an endpoint: what waits, since when, and what was given up."""
    waiting = func.count().filter(Delivery.state.in_(("queued", "sending")))
    dead = func.count().filter(Delivery.state == "dead")
    due = func.min(Delivery.next_attempt_at)
    counted = await session.execute(
        select(Delivery.endpoint_id, waiting, dead, due).group_by(Delivery.endpoint_id)
    )
    counts = {row[0]: (row[1], row[2], row[3]) for row in counted}
    for point in await session.scalars(select(Endpoint).order_by(Endpoint.id)):
        queued, given_up, oldest = counts.get(point.id, (0, 0, None))
        say(_line(point, queued, given_up, _overdue(oldest, now)))


def _line(point: Endpoint, queued: int, given_up: int, overdue: str) -> str:
    state = f"{point.state} ({point.disabled_reason})" if point.disabled_reason else point.state
    return (
        f"{point.id}  {state}  {point.url}  waiting/待推送 {queued}{overdue}"
        f"  dead/已放弃 {given_up}  failures/连续失败 {point.failures}"
    )


def _overdue(oldest: datetime | None, now: datetime) -> str:
    late = int((now - oldest).total_seconds()) // 60 if oldest is not None else 0
    return f" ({late} min overdue/逾期)" if late > 0 else ""


async def managed(settings: Settings, endpoint_id: UUID, act: Act) -> str:
    """Do it to this endpoint, in one transaction. Raises EndpointNotFound and what `act` does."""
    async with _Database(settings) as sessions, sessions.begin() as session:
        endpoint = await session.get(Endpoint, endpoint_id, with_for_update=True)
        if endpoint is None:
            raise EndpointNotFound
        return await act(session, endpoint, SystemClock().now())


async def _test(session: AsyncSession, endpoint: Endpoint, now: datetime) -> str:
    delivery = await endpoints.ping(session, endpoint, now)
    return f"webhook.ping queued / 已排队：{delivery.id}"


async def _pause(session: AsyncSession, endpoint: Endpoint, now: datetime) -> str:
    await endpoints.pause(session, None, endpoint, now)
    return "paused / 已暂停"


async def _resume(session: AsyncSession, endpoint: Endpoint, now: datetime) -> str:
    await endpoints.resume(session, None, endpoint, now)
    return "active, what waited is due now / 已恢复，积压立即推送"


def _replay(wanted: ReplayCommand) -> Act:
    async def act(session: AsyncSession, endpoint: Endpoint, now: datetime) -> str:
        count = await endpoints.replay(session, None, endpoint, wanted, now)
        return f"{count} deliveries are sent again / 重新推送 {count} 条"

    return act


class _Database:
    """Only the database is opened: a server that runs does the sending."""

    def __init__(self, settings: Settings) -> None:
        self._sessions = Sessions(make_engine(settings.database))

    async def __aenter__(self) -> Sessions:
        return self._sessions

    async def __aexit__(self, *_: object) -> None:
        await self._sessions.close()


async def _list(settings: Settings) -> None:
    async with _Database(settings) as sessions, sessions.read() as session:
        await listed(session, SystemClock().now(), print)


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("webhooks", help="endpoints of other platforms")
    parts = parser.add_subparsers(required=True, metavar="command")
    listing = parts.add_parser("list", help="all endpoints and what waits for them")
    listing.set_defaults(run=_run_list)
    for name, words, act in (
        ("test", "queue a signed webhook.ping", _test),
        ("pause", "let deliveries wait", _pause),
        ("resume", "after a pause or a disabling: everything that waited is due now", _resume),
    ):
        part = parts.add_parser(name, help=words)
        part.add_argument("endpoint", type=UUID)
        part.set_defaults(run=_run_managed, act=act)
    again = parts.add_parser("replay", help="send deliveries again under their own ids")
    again.add_argument("endpoint", type=UUID)
    again.add_argument("--delivery", type=UUID, metavar="ID", help="this one")
    again.add_argument("--failed-since", type=_instant, metavar="TIME", help="all that failed")
    again.add_argument("--from", dest="from_", type=_instant, metavar="TIME", help="a span of time")
    again.add_argument("--to", type=_instant, metavar="TIME", help="its end; without: now")
    again.set_defaults(run=_run_replay)


def _instant(said: str) -> datetime:
    """RFC 3339; without an offset it is UTC."""
    at = datetime.fromisoformat(said)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _run_list(settings: Settings, _: argparse.Namespace) -> int:
    return _asked(settings, _list)


def _run_managed(settings: Settings, options: argparse.Namespace) -> int:
    async def ask(given: Settings) -> None:
        print(await managed(given, options.endpoint, options.act))

    return _asked(settings, ask)


def _run_replay(settings: Settings, options: argparse.Namespace) -> int:
    if options.from_ is not None and options.to is None:
        options.to = SystemClock().now()
    try:
        wanted = ReplayCommand.model_validate(
            {
                "delivery_id": options.delivery,
                "failed_since": options.failed_since,
                "from": options.from_,
                "to": options.to,
            }
        )
    except ValidationError as invalid:
        print(f"etong: {invalid.errors()[0]['msg']}", file=sys.stderr)
        return NOT_ASKED
    options.act = _replay(wanted)
    return _run_managed(settings, options)


def _asked(settings: Settings, ask: Callable[[Settings], Awaitable[None]]) -> int:
    async def done(given: Settings) -> int:
        try:
            await ask(given)
        except Problem as refusal:
            print(f"etong: {refusal.detail('en')} / {refusal.detail('zh-CN')}", file=sys.stderr)
            return REFUSED
        return DONE

    return asked(settings, done, NOT_ASKED)
