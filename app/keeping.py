"""`etong media retention|hold|lift` and `etong jobs retry`: what an operator does about files."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable

from sqlalchemy import select

from app.core.clock import SystemClock
from app.core.jobs import retry_failed
from app.core.resources import Resources
from app.core.settings import Settings
from app.embedded.kept import with_kept
from app.embedded.ownership import EmbeddedError
from app.incidents.models import Incident
from app.incidents.retention import due, hold, lift, retain
from app.media.derivatives import queue_again
from app.opening import opened

Work = Callable[[Resources], Awaitable[int]]


def add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    media: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    """`media`: the commands below `etong media`."""
    retention = media.add_parser(
        "retention", help="erase files and people's data that have served their time"
    )
    retention.add_argument("--dry-run", action="store_true", help="only say what would go")
    retention.set_defaults(run=_retention)
    for name, run, about in (
        ("hold", _hold, "keep everything of a matter, whatever its age"),
        ("lift", _lift, "end a hold"),
    ):
        parser = media.add_parser(name, help=about)
        parser.add_argument("number", help="of the incident")
        if name == "hold":
            parser.add_argument("--reason", required=True)
        parser.set_defaults(run=run)
    jobs = commands.add_parser("jobs", help="slow work on files")
    parts = jobs.add_subparsers(required=True, metavar="command")
    retrying = parts.add_parser("retry", help="try again what was given up")
    retrying.set_defaults(run=_retry)


def _retention(settings: Settings, options: argparse.Namespace) -> int:
    async def work(resources: Resources) -> int:
        if not options.dry_run:
            print(f"{await retain(resources)} files erased / 已清除附件")
            return 0
        async with resources.sessions.read() as session:
            found = await due(session, resources.settings.retention, resources.clock.now())
        for each in found:
            people = ", people's data / 当事人信息" if each.people else ""
            print(f"{each.number}: {len(each.file_ids)} files{people}")
        print(f"{len(found)} incidents / 共 {len(found)} 件，未作改动")
        return 0

    return _with_resources(settings, work)


def _hold(settings: Settings, options: argparse.Namespace) -> int:
    async def work(resources: Resources) -> int:
        async with resources.sessions.begin() as session:
            found = await session.scalar(
                select(Incident.id).where(Incident.number == options.number)
            )
            if found is None:
                print(f"etong: no incident {options.number} / 没有该事件", file=sys.stderr)
                return 1
            if "reason" in options:
                await hold(session, found, options.reason, SystemClock().now())
            else:
                await lift(session, found, SystemClock().now())
        return 0

    return _with_resources(settings, work)


_lift = _hold
"""Without a reason it ends."""


def _retry(settings: Settings, _: argparse.Namespace) -> int:
    async def work(resources: Resources) -> int:
        files, jobs = await queue_again(resources), await retry_failed(resources)
        print(f"{files} files, {jobs} jobs are due again / 已重新排队")
        return 0

    return _with_resources(settings, work)


def _with_resources(settings: Settings, work: Work) -> int:
    async def run(given: Settings) -> int:
        async with opened(given) as resources:
            return await work(resources)

    try:
        given = with_kept(settings)
    except EmbeddedError as refusal:
        print(f"etong: {refusal}", file=sys.stderr)
        return 2
    return asyncio.run(run(given))
