"""How a phone hears back: by stream or by long poll, always from its last number on.

The connection is dropped on purpose every now and then; what was missed comes with the next one.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson

from app.simulation.ledger import LedgerFile
from app.simulation.link import Link, Lost

_PAGE = 200
_WAIT_S = 2
_STREAM_S = 3.0
_PAUSE_S = 0.2
_OK = 200


class Hearing:
    """`last` is the number of the newest notice the phone has; `repeated` those that came again."""

    def __init__(self, link: Link, ledger: LedgerFile, person: str) -> None:
        self.last = 0
        self.repeated = 0
        self._link = link
        self._ledger = ledger
        self._person = person

    async def listen(self, stop: asyncio.Event) -> None:
        """Until told to stop."""
        while not stop.is_set():
            way = random.choice((self._follow, self._poll))  # noqa: S311 - a phone's whim
            try:
                await way()
            except (Lost, httpx.TransportError):
                await asyncio.sleep(_PAUSE_S)

    async def catch_up(self) -> None:
        """Everything that is in the inbox now. Raises Refused, GaveUp."""
        while True:
            answer = await self._link.ask("GET", f"/v1/inbox?after={self.last}&limit={_PAGE}")
            page = answer.json()
            self._take(page["items"])
            if self.last >= page["head_seq"] or not page["items"]:
                return

    async def _poll(self) -> None:
        path = f"/v1/inbox?after={self.last}&limit={_PAGE}&wait={_WAIT_S}"
        answer = await self._link.once("GET", path)
        self._take(answer.json()["items"])

    async def _follow(self) -> None:
        """The stream from the last number on, for a few seconds."""
        headers = await self._link.authorization()
        headers["Last-Event-ID"] = str(self.last)
        try:
            async with (
                asyncio.timeout(random.uniform(0.2, _STREAM_S)),  # noqa: S311 - a phone's whim
                self._link.stream("/v1/inbox/stream", headers) as answer,
            ):
                if answer.status_code != _OK:
                    raise Lost(str(answer.status_code))
                async for notice in _notices(answer.aiter_lines()):
                    self._take([notice])
        except TimeoutError:
            return

    def _take(self, items: list[dict[str, Any]]) -> None:
        """What was seen before is known by its number; a gap is written down as it came."""
        for item in items:
            if item["seq"] <= self.last:
                self.repeated += 1
                continue
            self._ledger.notice(self._person, self._link.account.terminal_id, item)
            self.last = item["seq"]


async def _notices(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
    """The data of whole `notice` events; the one that a cut leaves half is forgotten."""
    event, data = "", ""
    async for line in lines:
        name, _, value = line.partition(":")
        if name == "event":
            event = value.strip()
        elif name == "data":
            data = value.strip()
        elif not line:
            if event == "notice":
                yield orjson.loads(data)
            event, data = "", ""
