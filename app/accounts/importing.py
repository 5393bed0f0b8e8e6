"""People from a spreadsheet: one row, one person; every row gets its own answer."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from itertools import islice

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.errors import ImportTooLong, ImportUnreadable
from app.accounts.passwords import seal_phone
from app.accounts.people_schemas import ImportedPerson, NewPersonCommand
from app.accounts.scope import AreaTree
from app.accounts.staffing import NewPerson, Officer, enrol
from app.core.crypto import Keys
from app.core.errors import Language, Problem
from app.core.validation import explain

HEADER = ("username", "name", "phone", "roles", "grids")
"""`roles`: `grid_worker@unit-code;handler@other-code`. `grids`: codes with `;` between."""
MOST_ROWS = 500


@dataclass(frozen=True, slots=True)
class Importer:
    """Who imports, with what: an officer, the areas, the keys, the reader's language."""

    officer: Officer
    tree: AreaTree
    keys: Keys
    language: Language
    at: datetime


async def import_people(
    session: AsyncSession, importer: Importer, text: str, *, dry_run: bool
) -> list[ImportedPerson]:
    """Each row in a savepoint: a refused one leaves the others. A dry run keeps none.

    Raises ImportUnreadable, ImportTooLong.
    """
    rows = list(_rows(text))
    trial = await session.begin_nested()
    report = [await _import_row(session, importer, line, row) for line, row in rows]
    await (trial.rollback() if dry_run else trial.commit())
    if dry_run:
        return [row.model_copy(update={"code": None, "person_id": None}) for row in report]
    return report


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number in the file, cells by column)."""
    reader = csv.DictReader(StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        names = tuple(reader.fieldnames or ())
        if set(names) != set(HEADER):
            raise ImportUnreadable(header=",".join(HEADER))
        for count, row in enumerate(islice(reader, MOST_ROWS + 1)):
            if count == MOST_ROWS:
                raise ImportTooLong(limit=MOST_ROWS)
            yield reader.line_num, {name: (row[name] or "").strip() for name in HEADER}
    except csv.Error as broken:
        raise ImportUnreadable(header=",".join(HEADER)) from broken


async def _import_row(
    session: AsyncSession, importer: Importer, line: int, row: dict[str, str]
) -> ImportedPerson:
    username = row["username"][:64]
    try:
        new = _read(row, importer.keys)
        async with session.begin_nested():
            done = await enrol(session, importer.officer, importer.tree, new, importer.at)
    except ValidationError as invalid:
        first = explain(invalid.errors(), importer.language)[0]
        told = f"{first['pointer'].removeprefix('/')}: {first['message']}"
        return ImportedPerson.refused(line, username, "validation-failed", told)
    except Problem as refused:
        told = refused.detail(importer.language)
        return ImportedPerson.refused(line, username, refused.code, told)
    return ImportedPerson.created(line, username, done.person.id, done.code)


def _read(row: dict[str, str], keys: Keys) -> NewPerson:
    """Raises ValidationError."""
    command = NewPersonCommand.model_validate(
        {
            "username": row["username"],
            "name": row["name"],
            "phone": row["phone"] or None,
            "roles": [_role(part) for part in row["roles"].split(";") if part.strip()],
            "grid_codes": [part.strip() for part in row["grids"].split(";") if part.strip()],
        }
    )
    return command.as_new_person(seal_phone(keys, command.phone))


def _role(part: str) -> dict[str, str]:
    role, _, unit = part.strip().partition("@")
    return {"role": role, "unit": unit}
