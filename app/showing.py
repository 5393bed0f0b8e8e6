"""`etong incident show NUMBER`: a matter told to an operator on one screen."""

import argparse
import sys

from app.asking import asked
from app.core.db import Sessions, make_engine
from app.core.settings import Settings
from app.incidents.telling import tell

SHOWN, UNKNOWN, NOT_ASKED = 0, 1, 2
"""Exit statuses."""


def add_command(incident: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`etong incident show`."""
    showing = incident.add_parser("show", help="what happened, in Chinese, on one screen")
    showing.add_argument("reference", help="number or id")
    showing.set_defaults(run=_show)


def _show(settings: Settings, options: argparse.Namespace) -> int:
    async def show(given: Settings) -> int:
        lines = await lines_of(given, options.reference)
        if lines is None:
            print(f"etong: no incident {options.reference} / 没有这个事件", file=sys.stderr)
            return UNKNOWN
        print("\n".join(lines))
        return SHOWN

    return asked(settings, show, NOT_ASKED)


async def lines_of(settings: Settings, reference: str) -> list[str] | None:
    sessions = Sessions(make_engine(settings.database))
    try:
        async with sessions.read() as session:
            return await tell(session, reference, settings.zone)
    finally:
        await sessions.close()
