"""`etong incident evidence`: one matter's evidence, written by the machine's operator."""

import argparse
import sys
from pathlib import Path

from app.asking import asked
from app.core.clock import SystemClock
from app.core.db import Sessions, make_engine
from app.core.settings import Settings
from app.evidence.exporting import evidence_for_operator
from app.evidence.queries import incident_by_number
from app.evidence.schemas import Evidence

WRITTEN, REFUSED = 0, 1


async def evidence(settings: Settings, number: str) -> Evidence | None:
    """None: there is no such number."""
    sessions = Sessions(make_engine(settings.database))
    try:
        async with sessions.begin() as session:
            incident = await incident_by_number(session, number)
            if incident is None:
                return None
            return await evidence_for_operator(session, incident, SystemClock().now())
    finally:
        await sessions.close()


def add_command(incident: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`etong incident evidence`."""
    proving = incident.add_parser("evidence", help="write its history with proofs, as JSON")
    proving.add_argument("number", help="e.g. 620802105-20260311-0001")
    proving.add_argument("--to", type=Path, metavar="FILE", help="instead of standard output")
    proving.set_defaults(run=run)


def run(settings: Settings, options: argparse.Namespace) -> int:
    """The exit status."""

    async def write(given: Settings) -> int:
        found = await evidence(given, options.number)
        if found is None:
            print(f"etong: no incident {options.number} / 没有该事件编号", file=sys.stderr)
            return REFUSED
        _write(found.model_dump_json(indent=1) + "\n", options.to)
        return WRITTEN

    return asked(settings, write, REFUSED)


def _write(text: str, to: Path | None) -> None:
    if to is None:
        sys.stdout.write(text)
    else:
        to.write_text(text, encoding="utf-8")
