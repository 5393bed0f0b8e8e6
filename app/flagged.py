"""`etong events`: what the relay has given up, shown to an operator and tried again."""

import argparse
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.asking import asked
from app.core import parking
from app.core.clock import SystemClock
from app.core.db import Sessions, make_engine
from app.core.settings import Settings

Say = Callable[[str], None]

DONE, REFUSED = 0, 1


async def flagged(session: AsyncSession, say: Say) -> int:
    """One line a reaction that failed five times."""
    found = await parking.given_up(session)
    for row, parked in found:
        say(
            f"{row.id} {row.name} {row.subject_id} {row.occurred_at:%Y-%m-%dT%H:%M:%SZ}"
            f" {parked.reaction}: {parked.error}"
        )
    say(f"{len(found)} given up / 已放弃 {len(found)} 项")
    return DONE


async def republish(session: AsyncSession, ids: Sequence[int], say: Say) -> int:
    """These events, or all that are flagged; the relay tries them at once."""
    wanted = set(ids) or {row.id for row, _ in await parking.given_up(session)}
    again = await parking.republish(session, wanted, at=SystemClock().now())
    for unknown in sorted(wanted - again):
        say(f"{unknown}: nothing of it was given up / 没有已放弃的处理")
    say(f"{len(again)} events again / 重新处理 {len(again)} 条")
    return REFUSED if wanted - again else DONE


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`etong events flagged` and `etong events republish`."""
    parts = commands.add_parser("events", help="what the relay has given up").add_subparsers(
        required=True, metavar="command"
    )
    listing = parts.add_parser("flagged", help="reactions that failed five times, with their error")
    listing.set_defaults(run=_flagged)
    again = parts.add_parser("republish", help="have them tried again; done reactions stay done")
    again.add_argument("ids", nargs="*", type=int, metavar="EVENT", help="default: all flagged")
    again.set_defaults(run=_republish)


def _flagged(settings: Settings, _: argparse.Namespace) -> int:
    return _with_session(settings, lambda session: flagged(session, print))


def _republish(settings: Settings, options: argparse.Namespace) -> int:
    return _with_session(settings, lambda session: republish(session, options.ids, print))


def _with_session(settings: Settings, work: Callable[[AsyncSession], Awaitable[int]]) -> int:
    async def ask(given: Settings) -> int:
        sessions = Sessions(make_engine(given.database))
        try:
            async with sessions.begin() as session:
                return await work(session)
        finally:
            await sessions.close()

    return asked(settings, ask, REFUSED)
