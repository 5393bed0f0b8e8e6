"""`etong incident evidence`: one matter's evidence, written by the machine's operator."""

import argparse
import asyncio
import sys
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from app.core.clock import SystemClock
from app.core.db import Sessions, make_engine
from app.core.settings import Settings
from app.embedded.kept import with_kept
from app.embedded.ownership import EmbeddedError
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
    try:
        found = asyncio.run(evidence(with_kept(settings), options.number))
    except EmbeddedError as refusal:
        return _refused(str(refusal))
    except SQLAlchemyError as unanswered:
        return _refused(
            f"the database does not answer ({type(unanswered).__name__}) / 数据库无法访问"
        )
    if found is None:
        return _refused(f"no incident {options.number} / 没有该事件编号")
    text = found.model_dump_json(indent=1) + "\n"
    if options.to is None:
        sys.stdout.write(text)
    else:
        options.to.write_text(text, encoding="utf-8")
    return WRITTEN


def _refused(why: str) -> int:
    print(f"etong: {why}", file=sys.stderr)
    return REFUSED
