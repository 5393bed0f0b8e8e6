"""The phone's own ledger: one JSON object a line, written once the phone knows it, never changed.

`etong check --ledger` holds it against what the server has (app/system/ledgers.py reads it).
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import orjson


class LedgerFile:
    """Appends; several phones of one process may share it, and so may several runs."""

    def __init__(self, path: Path) -> None:
        self.receipts = 0
        """Written by this process."""
        # unbuffered: a line is in the file when the call returns, or it isn't
        self._file = path.open("ab", buffering=0)

    def receipt(self, id_: UUID, number: str, files: Mapping[UUID, str]) -> None:
        """A report was acknowledged under this number; `files`: those told to be `stored`."""
        told = {str(file): digest for file, digest in files.items()}
        self._write({"kind": "receipt", "id": str(id_), "number": number, "files": told})
        self.receipts += 1

    def notice(self, person: str, terminal: str, item: Mapping[str, Any]) -> None:
        """A notice was seen on this terminal, at this place of the sequence."""
        facts = {name: item[name] for name in ("seq", "type", "incident_id")}
        self._write({"kind": "notice", "person": person, "terminal": terminal, **facts})

    def delivery(self, webhook_id: str, message: Mapping[str, Any]) -> None:
        """A platform verified this message."""
        data = message["data"]
        facts = {name: data.get(name) for name in ("incident_id", "sequence", "endpoint_id")}
        self._write(
            {"kind": "delivery", "webhook_id": webhook_id, "type": message["type"], **facts}
        )

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, entry: Mapping[str, Any]) -> None:
        self._file.write(orjson.dumps(entry) + b"\n")
