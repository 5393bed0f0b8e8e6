"""CSV → rows of areas, with a finding for every line that can't be read. Pure."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from app.areas.findings import Finding, bad_values
from app.areas.models import CODE_LENGTH, Kind, Level
from app.core.fields import Lat, Line, Lon

AreaCode = Annotated[
    str,
    StringConstraints(min_length=1, max_length=CODE_LENGTH, pattern=r"^[A-Za-z0-9._:-]+$"),
]
Count = Annotated[int, Field(ge=0, le=100_000_000)]

REQUIRED = ("code", "name", "level", "parent_code")


class Facts(BaseModel):
    """What may be said of an area besides its place in the tree; what is unset is left as it is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Kind | None = None
    households: Count | None = None
    population: Count | None = None
    lon: Lon | None = None
    lat: Lat | None = None

    @property
    def has_half_point(self) -> bool:
        return (self.lon is None) != (self.lat is None)


class AreaRow(Facts):
    code: AreaCode
    name: Line
    level: Level
    parent_code: AreaCode | None


OPTIONAL = tuple(Facts.model_fields)


@dataclass(slots=True)
class Table:
    """The rows of a CSV by code, their lines, and the codes of rows that were refused."""

    rows: dict[str, AreaRow] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    def take(self, header: list[str], cells: list[str], line: int) -> None:
        said = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
        code = said.get("code") or None
        errors = list(self._wrong_with(header, cells, line, code))
        if not errors:
            errors = list(self._keep(said, line, code))
        if errors:
            self.errors += errors
            self.refused.add(code or "")

    def _wrong_with(
        self, header: list[str], cells: list[str], line: int, code: str | None
    ) -> Iterator[Finding]:
        if len(cells) != len(header):
            counts = {"cells": len(cells), "columns": len(header)}
            yield Finding("wrong-cell-count", line=line, code=code, values=counts)
        if code in self.lines:
            first = {"first": self.lines[code]}
            yield Finding("duplicate-code", line=line, code=code, values=first)
        elif code is not None:
            self.lines[code] = line

    def _keep(self, said: dict[str, str], line: int, code: str | None) -> Iterator[Finding]:
        # an empty cell says nothing; only an empty parent says "a root"
        values: dict[str, str | None] = {name: cell for name, cell in said.items() if cell}
        values.setdefault("parent_code", None)
        try:
            row = AreaRow.model_validate(values)
        except ValidationError as invalid:
            yield from bad_values(invalid, line=line, code=code)
            return
        if row.has_half_point:
            yield Finding("half-point", line=line, code=code)
        self.rows[row.code] = row


def read_table(source: str | bytes) -> Table:
    """Rows of a CSV with a header, its columns in any order."""
    table = Table()
    text = _decoded(source)
    if text is None:
        table.errors.append(Finding("bad-encoding", line=1))
        return table
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, table)
        for cells in reader if not table.errors else ():
            if any(cell.strip() for cell in cells):
                table.take(header, cells, reader.line_num)
    except csv.Error as broken:
        why = {"why": broken}
        table.errors.append(Finding("broken-csv", line=max(reader.line_num, 1), values=why))
    return table


def _decoded(source: str | bytes) -> str | None:
    """What offices save: UTF-8 with or without a mark, or GB18030."""
    if isinstance(source, str):
        return source.removeprefix("\ufeff")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return source.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _check_header(header: list[str], table: Table) -> None:
    for column in REQUIRED:
        if column not in header:
            table.errors.append(Finding("missing-column", line=1, values={"column": column}))
    for column in sorted(set(header)):
        if header.count(column) > 1:
            table.errors.append(Finding("duplicate-column", line=1, values={"column": column}))
        elif column not in REQUIRED + OPTIONAL:
            table.warnings.append(Finding("unknown-column", line=1, values={"column": column}))
