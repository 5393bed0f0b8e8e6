"""The township's platform in the story: it subscribes, is told, and verifies what it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.embedded.story_cast import Player, Refused
from app.embedded.story_telling import tell
from app.simulation.receiver import Heard, Receiver

_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Platform:
    """`receiver` is None where the server may not call this machine."""

    receiver: Receiver | None

    @classmethod
    @asynccontextmanager
    async def subscribed(cls, admin: Player, area: str) -> AsyncIterator["Platform"]:
        """An endpoint on loopback for the time of the story, deleted afterwards."""
        async with Receiver(tell=_tell).listening() as receiver:
            url = f"http://127.0.0.1:{receiver.port}/etong"
            try:
                answer = await admin.send(
                    "POST", "/v1/webhook-endpoints", json={"url": url, "area_codes": [area]}
                )
            except Refused as refusal:
                # a server elsewhere, as it should be
                tell(f"平台推送略过 webhooks left out: {refusal}")
                yield cls(None)
                return
            endpoint = answer.json()
            receiver.expect(endpoint["secret"])
            tell(f"平台订阅 subscribed  {url}（{area}）")
            try:
                yield cls(receiver)
            finally:
                await admin.send("DELETE", f"/v1/webhook-endpoints/{endpoint['id']}")

    async def check_heard(self, incident_id: str, state: str) -> None:
        """Every event of the matter arrived signed, up to its end. Raises Refused."""
        if self.receiver is None:
            return
        try:
            async with asyncio.timeout(_SECONDS):
                while not any(each["state"] == state for each in self._about(incident_id)):
                    await self.receiver.news.wait()
                    self.receiver.news.clear()
        except TimeoutError as silent:
            raise Refused(f"平台未收到 the platform was not told of {state}") from silent
        sequences = {each["sequence"] for each in self._about(incident_id)}
        if self.receiver.refused or not sequences:
            raise Refused(f"签名不符 {self.receiver.refused} signatures did not fit")
        tell(f"平台核验 verified by the platform：{len(sequences)} 条签名推送 signed webhooks")

    def _about(self, incident_id: str) -> list[dict[str, object]]:
        heard = self.receiver.heard if self.receiver else []
        data = [each.message["data"] for each in heard]
        return [each for each in data if each.get("incident_id") == incident_id]


def _tell(heard: Heard) -> None:
    data = heard.message["data"]
    tell(f"    webhook │ {heard.message['type']} {data.get('number', '')} {data.get('state', '')}")
