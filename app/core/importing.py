"""Imports: every table of an office goes the same way, row by row, and all of it or nothing.

A dry run carries every row out and takes it back, so it tells exactly what the real one would do.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from pydantic import Field, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import audit
from app.core.errors import Language, Problem
from app.core.fields import Count, View
from app.core.sheet_errors import CellsBeyondColumns, ImportRefused, RowRepeated
from app.core.sheets import MOST_ROWS, Columns, SheetRow, read_sheet
from app.core.validation import explain

Outcome = Literal["added", "changed", "unchanged"]
OUTCOMES = ("added", "changed", "unchanged", "refused")


class Table(Protocol):
    """What one kind of import knows: its columns, what names a row, how a row is written."""

    @property
    def name(self) -> str:
        """Plural, as the trail calls it."""
        ...

    @property
    def columns(self) -> Columns: ...

    def key(self, cells: Mapping[str, str]) -> str:
        """What may stand in a file only once."""
        ...

    async def write(self, session: AsyncSession, cells: Mapping[str, str]) -> Outcome:
        """Make it so. Raises Problem, ValidationError; what the row does not say stays."""
        ...


@dataclass(frozen=True, slots=True)
class Sender:
    """Who imports, when, and the language in which refused rows are explained."""

    id: UUID
    at: datetime
    language: Language


class ImportedRow(View):
    line: Count
    """As the spreadsheet counts."""
    key: str = Field(max_length=300)
    outcome: str = Field(max_length=20, json_schema_extra={"x-extensible-enum": [*OUTCOMES]})
    code: str | None = Field(default=None, max_length=100)
    """Why it was refused: the code of a problem."""
    message: str | None = Field(default=None, max_length=500)


class SheetImportView(View):
    applied: bool
    """False: a dry run."""
    added: Count
    changed: Count
    unchanged: Count
    refused: Count
    rows: list[ImportedRow] = Field(max_length=MOST_ROWS)


async def import_sheet(
    session: AsyncSession, table: Table, content: bytes, sender: Sender, *, dry_run: bool
) -> SheetImportView:
    """In the caller's transaction, which ends without it where this raises.

    Raises SheetUnreadable, SheetTooLong, PayloadTooLarge; ImportRefused with the rows.
    """
    rows = await asyncio.to_thread(read_sheet, content, table.columns)
    trial = await session.begin_nested()
    report = await _carried_out(session, table, rows, sender.language)
    counts = Counter(row.outcome for row in report)
    told = {outcome: counts[outcome] for outcome in OUTCOMES}
    if dry_run:
        await trial.rollback()
        return SheetImportView(applied=False, rows=report, **told)
    if refused := [row for row in report if row.outcome == "refused"]:
        raise ImportRefused(refused=len(refused), rows=[row.model_dump() for row in refused])
    await trial.commit()
    if told["added"] or told["changed"]:
        await audit.note(
            session,
            at=sender.at,
            actor_id=sender.id,
            action=f"{table.name}.imported",
            target=("import", hashlib.sha256(content).hexdigest()),
            **told,
        )
    return SheetImportView(applied=True, rows=report, **told)


async def _carried_out(
    session: AsyncSession, table: Table, rows: Sequence[SheetRow], language: Language
) -> list[ImportedRow]:
    report: list[ImportedRow] = []
    seen: set[str] = set()
    for row in rows:
        key = table.key(row.cells)[:300]
        report.append(await _tried(session, table, row, key, language, repeated=key in seen))
        seen.add(key)
    return report


async def _tried(
    session: AsyncSession,
    table: Table,
    row: SheetRow,
    key: str,
    language: Language,
    *,
    repeated: bool,
) -> ImportedRow:
    """In a savepoint: a refused row leaves the others to be looked at."""
    try:
        if repeated:
            raise RowRepeated
        if row.spare:
            raise CellsBeyondColumns
        async with session.begin_nested():
            outcome = await table.write(session, row.cells)
    except ValidationError as invalid:
        first = explain(invalid.errors(), language)[0]
        said = f"{first['pointer'].removeprefix('/')}: {first['message']}"
        return _refused(row, key, "validation-failed", said)
    except Problem as refused:
        return _refused(row, key, refused.code, refused.detail(language))
    return ImportedRow(line=row.line, key=key, outcome=outcome)


def _refused(row: SheetRow, key: str, code: str, message: str) -> ImportedRow:
    told = message[:500]
    return ImportedRow(line=row.line, key=key, outcome="refused", code=code, message=told)
