"""The platforms in the story: the township's is told and verifies; the police post's calls back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from app.core.db import new_id
from app.embedded.story_cast import Player, Refused
from app.embedded.story_telling import tell
from app.simulation.receiver import Heard, Receiver
from app.webhooks.signing import signed_headers

CALLING = "demo-platform"
_SECONDS = 15.0
_LOOK_S = 0.2


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


@dataclass(frozen=True, slots=True)
class Caller:
    """A platform of the story's own, so that nobody else's secret changes."""

    admin: Player
    secret: str

    @classmethod
    async def registered(cls, admin: Player, unit: str) -> "Caller":
        """Made by the first story a server hears; it acts in this unit."""
        platform_id = await _registered(admin, unit)
        path = f"/v1/platforms/{platform_id}/rotate-callback-secret"
        made = (await admin.send("POST", path)).json()
        return cls(admin, made["secret"])

    async def call(self, incident_id: str, sequence: int, **data: str) -> None:
        """A signed callback, and what became of it. Raises Refused where it was not applied."""
        webhook_id = f"msg_{new_id()}"
        facts = {"incident_id": incident_id, "sequence": sequence, **data}
        body = orjson.dumps({"type": "incident.transition", "data": facts})
        headers = signed_headers([self.secret], webhook_id, datetime.now(UTC), body)
        headers["Content-Type"] = "application/json"
        path = f"/v1/callbacks/{CALLING}"
        answer = await self.admin.send("POST", path, content=body, headers=headers)
        tell(f"    callback │ {data['action']} {webhook_id} → {answer.status_code}")
        became = await self._became(f"{path}/{webhook_id}")
        if became != "applied":
            raise Refused(f"回调 callback {data['action']}: {became}")
        tell(f"平台回调 signed callback  {CALLING}：{data['action']} → {became}")

    async def _became(self, path: str) -> str:
        for _ in range(int(_SECONDS / _LOOK_S)):
            told = await self.admin.read(path)
            if told["state"] != "due":
                return f"{told['state']}" + (f" ({told['code']})" if told["code"] else "")
            await asyncio.sleep(_LOOK_S)
        return "due"


async def _registered(admin: Player, unit: str) -> str:
    cursor: dict[str, str | int] = {"limit": 200}
    while True:
        page = await admin.read("/v1/platforms", **cursor)
        for item in page["items"]:
            if item["code"] == CALLING:
                return str(item["id"])
        if page["next"] is None:
            break
        cursor["cursor"] = page["next"]
    wanted = {"code": CALLING, "name": "演示平台", "unit": unit}
    return str((await admin.send("POST", "/v1/platforms", json=wanted)).json()["id"])
