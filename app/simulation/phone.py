"""A simulated phone: it makes reports, sends them until they are acknowledged, and hears back."""

import asyncio
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Any
from uuid import UUID

from app.core.clock import SystemClock
from app.simulation.hearing import Hearing
from app.simulation.ledger import LedgerFile
from app.simulation.link import GaveUp, Link, Lost, Refused
from app.simulation.reports import Camera, MadeReport, Photo, make_report

SINGLE_POST_MAX = 256 * 1024
"""Media of a report that goes out in one body while the link is unmeasured (U23)."""
_JSON = "application/json"
_JPEG = "image/jpeg"
_NOT_FOUND = 404
_ROUNDS = 20


class Manner(StrEnum):
    """What a phone does after a multipart body that was not answered."""

    PLAIN = "plain"
    """Sends the same bytes again."""
    ASKING = "asking"
    """Asks for the receipt first; sends the text alone, then file by file (U23)."""


class Phone:
    """`counts` adds to those of the link: `acknowledged`, `replayed`, `refused:…`, `files`."""

    def __init__(self, link: Link, ledger: LedgerFile, manner: Manner = Manner.PLAIN) -> None:
        self.counts = link.counts
        self.person = ""
        self.hearing: Hearing | None = None
        self._link = link
        self._ledger = ledger
        self._manner = manner
        self._grid: str | None = None

    async def sign_in(self) -> None:
        """Learn who one is. Raises Refused, GaveUp."""
        me = (await self._link.ask("GET", "/v1/me")).json()
        self.person = me["person"]["id"]
        self._grid = next(iter(me["grids"]), None)
        self.hearing = Hearing(self._link, self._ledger, self.person)

    async def make(self, number: int, photos: int, camera: Camera) -> MadeReport:
        """A report as it is captured here, with pictures of its own."""
        taken = [
            await asyncio.to_thread(camera, number * 16 + position) for position in range(photos)
        ]
        return make_report(number, taken, SystemClock().now(), self._grid)

    async def report(self, made: MadeReport) -> bool:
        """Send until acknowledged and complete; whether it was. What was told is in the ledger."""
        try:
            receipt = await self._first_send(made)
            self._note(made, receipt)
            await self._bring_missing(made, receipt)
        except Refused as refused:
            self.counts[f"refused:{refused.code}"] += 1
        except GaveUp:
            self.counts["given_up"] += 1
        else:
            self.counts["acknowledged"] += 1
            return True
        return False

    async def _first_send(self, made: MadeReport) -> dict[str, Any]:
        if sum(len(photo.body) for photo in made.photos) > SINGLE_POST_MAX:
            return await self._post(made.meta, _JSON, self._link.ask)
        if self._manner is Manner.PLAIN:
            return await self._post(made.multipart(), made.content_type, self._link.ask)
        try:
            return await self._post(made.multipart(), made.content_type, self._link.once)
        except Lost as lost:
            self.counts[f"lost:{lost.why}"] += 1
        known = await self._receipt_of(made.id)
        return known or await self._post(made.meta, _JSON, self._link.ask)

    async def _post(
        self, body: bytes, content_type: str, ask: Callable[..., Any]
    ) -> dict[str, Any]:
        answer = await ask("POST", "/v1/incidents", body, content_type)
        self.counts["replayed"] += answer.headers.get("idempotency-replayed") == "true"
        receipt: dict[str, Any] = answer.json()
        return receipt

    async def _receipt_of(self, id_: UUID) -> dict[str, Any] | None:
        try:
            answer = await self._link.ask("GET", f"/v1/incidents/{id_}/receipt")
        except Refused as refused:
            if refused.status == _NOT_FOUND:
                return None
            raise
        known: dict[str, Any] = answer.json()
        return known

    async def _bring_missing(self, made: MadeReport, receipt: dict[str, Any]) -> None:
        """Every file that the receipt does not call stored, one by one."""
        for _ in range(_ROUNDS):
            missing = [photo for photo in made.photos if _state(receipt, photo.id) != "stored"]
            if not missing:
                return
            for photo in missing:
                receipt = await self._put(made, photo)
                self._note(made, receipt)
        raise GaveUp(f"files of {made.id}")

    async def _put(self, made: MadeReport, photo: Photo) -> dict[str, Any]:
        path = f"/v1/incidents/{made.id}/attachments/{photo.id}"
        receipt: dict[str, Any] = (await self._link.ask("PUT", path, photo.body, _JPEG)).json()
        return receipt

    def _note(self, made: MadeReport, receipt: dict[str, Any]) -> None:
        """The digests are the phone's own: what the server says is what is to be checked."""
        stored = {
            photo.id: photo.sha256 for photo in made.photos if _state(receipt, photo.id) == "stored"
        }
        self._ledger.receipt(made.id, receipt["number"], stored)


def _state(receipt: dict[str, Any], photo_id: UUID) -> str:
    wanted = str(photo_id)
    states = (item["state"] for item in receipt["attachments"] if item["id"] == wanted)
    return next(states, "missing")


def total(phones: list[Phone]) -> Counter[str]:
    """The counts of several phones together."""
    return sum((phone.counts for phone in phones), Counter())
