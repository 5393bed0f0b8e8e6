"""The phone's live stream beside the story: every line shown, every notice kept and counted."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from app.embedded.story_cast import Player, Refused
from app.embedded.story_telling import tell, tell_stream

_PATIENCE_S = 15.0
_RECONNECT_S = 0.5


class InboxStream:
    """What the server sends to one person after `start`, over reconnects, in order of arrival."""

    def __init__(self, player: Player, start: int) -> None:
        self.start = start
        self.notices: list[dict[str, Any]] = []
        self._player = player
        self._hello = asyncio.Event()
        self._arrived = asyncio.Condition()

    @classmethod
    @asynccontextmanager
    async def opened(cls, player: Player) -> AsyncIterator[Self]:
        """From the inbox's present head on. Raises Refused where no `hello` comes."""
        head = (await player.read("/v1/inbox", limit=1))["head_seq"]
        stream = cls(player, head)
        tell(f"打开推送流 stream opened after notice {head}")
        listening = asyncio.create_task(stream._listen())
        try:
            await stream._said_hello(listening)
            yield stream
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError, Refused):
                await listening

    async def wait_for(self, incident_id: str, count: int) -> dict[str, Any]:
        """The `count`th notice of this incident. Raises Refused when it does not come in time."""
        await self._wait(
            lambda: len(self._of(incident_id)) >= count,
            f"推送流缺少本事件第 {count} 条通知 notice {count} of this matter is not on the stream",
        )
        return self._of(incident_id)[count - 1]

    async def up_to(self, seq: int) -> list[int]:
        """The numbers it brought, once `seq` is among them; those after `seq` are left out."""
        await self._wait(
            lambda: any(notice["seq"] >= seq for notice in self.notices),
            f"推送流缺少通知 notice {seq} of the inbox is not on the stream",
        )
        return [notice["seq"] for notice in self.notices if notice["seq"] <= seq]

    async def _wait(self, there: Callable[[], bool], otherwise: str) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S), self._arrived:
                await self._arrived.wait_for(there)
        except TimeoutError:
            raise Refused(f"{otherwise} ({_PATIENCE_S:.0f} s)") from None

    def _of(self, incident_id: str) -> list[dict[str, Any]]:
        return [notice for notice in self.notices if notice["incident_id"] == incident_id]

    async def _said_hello(self, listening: asyncio.Task[None]) -> None:
        greeted = asyncio.create_task(self._hello.wait())
        await asyncio.wait(
            {greeted, listening}, timeout=_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED
        )
        greeted.cancel()
        if listening.done():
            await listening
        if not self._hello.is_set():
            raise Refused("推送流没有应答 the stream never said hello")

    async def _listen(self) -> None:
        """Comes back with the last number after every end, as a phone does."""
        while True:
            event = ""
            last = self.notices[-1]["seq"] if self.notices else self.start
            headers = {"Last-Event-ID": str(last)}
            async for line in self._player.lines("/v1/inbox/stream", headers):
                if line:
                    tell_stream(line)
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    await self._take(event, value)
            await asyncio.sleep(_RECONNECT_S)

    async def _take(self, event: str, data: str) -> None:
        if event == "hello":
            self._hello.set()
        if event == "notice":
            async with self._arrived:
                self.notices.append(json.loads(data))
                self._arrived.notify_all()


def check_numbers(start: int, inbox: list[int], streamed: list[int]) -> None:
    """Raises Refused unless the inbox goes on from `start` without a gap and the stream had all."""
    if inbox != list(range(start + 1, start + 1 + len(inbox))):
        raise Refused(f"收件箱编号不连续 the inbox has a gap after {start}: {inbox}")
    if streamed != inbox:
        raise Refused(f"推送与收件箱不一致 the stream brought {streamed}, the inbox has {inbox}")
