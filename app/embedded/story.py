"""The story of one report: each step acts over HTTP, tells it and checks what was promised."""

import hashlib
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from app.core.db import new_id
from app.embedded.story_cast import Answer, Player, Refused
from app.embedded.story_evidence import Evidence
from app.embedded.story_platform import Caller
from app.embedded.story_stream import InboxStream, check_numbers
from app.embedded.story_telling import tell

_ACTIONS = {
    "escalate": "上报乡镇",
    "accept": "受理",
    "dispatch": "派遣至派出所",
    "sign": "签收",
    "progress": "处置进展",
    "complete": "处置完毕",
    "verify_pass": "核查通过",
    "rate": "评价",
}
_SECONDS_TO_ROUTE = 15.0
_NOTICES_OF_INTAKE = 2  # received, routed
_RANGE = (100, 299)


class Story:
    """One incident and the worker who reported it."""

    def __init__(
        self,
        worker: Player,
        stream: InboxStream,
        place: tuple[float, float],
        evidence: Sequence[Evidence],
    ) -> None:
        self._worker = worker
        self._stream = stream
        self._place = place
        self._evidence = evidence
        self.id = str(new_id())
        self._meta: dict[str, Any] = {}
        self._receipt: dict[str, Any] = {}
        self._notices = 0

    async def report(self, text: str) -> None:
        """One multipart POST: `meta` first, then each file in a part named by its id."""
        lon, lat = self._place
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        self._meta = {
            "id": self.id,
            "category": "0201",
            "urgency": "routine",
            "text": text,
            "place": {"lon": lon, "lat": lat, "datum": "wgs84", "accuracy_m": 8, "fixed_at": now},
            "occurred_at": now,
            "source": "patrol",
            "attachments": [file.manifest() for file in self._evidence],
        }
        answer = await self._post()
        _demand(answer.status_code == HTTPStatus.CREATED, f"report: {answer.status_code}")
        self._receipt = answer.json()
        _demand(self._receipt["complete"], f"附件未收齐 files missing: {self._receipt}")
        self._notices = _NOTICES_OF_INTAKE
        size = sum(len(file.content) for file in self._evidence)
        number = self._receipt["number"]
        tell(f"上报 reported  {number}，{len(self._evidence)} 个附件 files，{size / 1024:.0f} KiB")
        await self._stream.wait_for(self.id, self._notices)

    async def see(self, desk: Player, unit: str) -> None:
        """The matter stands in the desk's own list, at its own unit."""
        deadline = time.monotonic() + _SECONDS_TO_ROUTE
        while time.monotonic() < deadline:
            page = await desk.read("/v1/incidents", state="submitted", limit=200)
            for item in page["items"]:
                if item["id"] == self.id and item["step"]:
                    owner = item["step"]["unit"]
                    _demand(owner["code"] == unit, f"{owner['name']} instead of {unit}")
                    tell(f"待办 in the list of {desk.name}：{item['number']}（{owner['name']}）")
                    return
        raise Refused(f"{desk.username} 看不到事件 does not see the incident in its list")

    async def act(self, who: Player, action: str, state: str, **fields: Any) -> None:  # noqa: ANN401 - what the action needs
        """One transition by who is entitled to it, and the notice of it on the worker's stream."""
        shown = await self._move(who, action, state, fields)
        unit = shown["step"]["unit"]["name"] if shown["step"] else ""
        tell(f"{_ACTIONS[action]} {action}  {who.name} → {state}  {unit}")
        self._notices += 1
        notice = await self._stream.wait_for(self.id, self._notices)
        _demand(notice["state"] == state, f"{action}: notice says {notice['state']}, not {state}")

    async def hear_platform(self, calling: Caller, text: str) -> None:
        """The same as `act`, done by a platform of the unit that has the matter."""
        await calling.call(self.id, 1, action="progress", text=text, actor="演示平台值班员")
        self._notices += 1
        notice = await self._stream.wait_for(self.id, self._notices)
        _demand(text in notice["body"], f"callback: the notice says {notice['body']}")

    async def rate(self, score: int) -> None:
        await self._move(self._worker, "rate", "closed", {"score": score})
        tell(f"{_ACTIONS['rate']} rate  {self._worker.name}：{score}/5")

    async def check_outcome(self, outcome: str) -> None:
        """The outcome has come back to who reported it (处处有回音)."""
        shown = await self._worker.read(f"/v1/incidents/{self.id}")
        _demand(shown["outcome"] == outcome, f"outcome: {shown['outcome']}")
        tell(f"回音 outcome at the reporter：{outcome}")

    async def repeat(self) -> None:
        """The same POST once more gives the same receipt and no second matter."""
        answer = await self._post()
        again, first = answer.json(), self._receipt
        same = all(again[name] == first[name] for name in ("id", "number", "received_at"))
        replayed = answer.headers.get("Idempotency-Replayed") == "true"
        _demand(
            answer.status_code == HTTPStatus.OK and same and replayed,
            f"重发应返回首次回执 a repeat gives the first receipt: {answer.status_code} {again}",
        )
        tell(f"重发 repeated  200, Idempotency-Replayed: true，{again['number']}")

    async def check_files(self) -> None:
        """The originals come back bit by bit, whole and in part."""
        shown = await self._worker.read(f"/v1/incidents/{self.id}")
        links = {item["id"]: item["url"] for item in shown["attachments"]}
        for file in self._evidence:
            url = links.get(file.id)
            _demand(url is not None, f"{file.name}: 没有下载链接 no link")
            whole = (await self._worker.send("GET", str(url))).content
            _demand(
                hashlib.sha256(whole).hexdigest() == file.sha256,
                f"{file.name}: 原件不一致 the bytes are not those that were sent",
            )
            tell(f"原件 original  {file.name} SHA-256 {file.sha256[:16]}… 一致 equal")
        await self._check_range(str(links[self._evidence[-1].id]), self._evidence[-1])

    async def check_inbox(self) -> None:
        """Numbered 1…n from where the story began, all of it on the stream too."""
        inbox: list[int] = []
        after = str(self._stream.start)
        while after:
            page = await self._worker.read("/v1/inbox", after=after, limit=200)
            inbox += [item["seq"] for item in page["items"]]
            after = page["next"]
        _demand(len(inbox) >= self._notices, f"收件箱缺通知 too few in the inbox: {inbox}")
        check_numbers(self._stream.start, inbox, await self._stream.up_to(inbox[-1]))
        count = f"{len(inbox)} 条 notices"
        tell(
            f"收件箱 inbox  {inbox[0]}…{inbox[-1]} 连续无缺 no gap，{count}，推送齐全 all streamed"
        )

    async def _check_range(self, url: str, file: Evidence) -> None:
        first, last = _RANGE
        answer = await self._worker.send("GET", url, headers={"Range": f"bytes={first}-{last}"})
        _demand(
            answer.status_code == HTTPStatus.PARTIAL_CONTENT
            and answer.content == file.content[first : last + 1],
            f"{file.name}: 断点下载不一致 range: {answer.status_code}, {len(answer.content)} bytes",
        )
        tell(f"断点 range  {file.name} {answer.headers['Content-Range']} 一致 equal")

    async def _move(
        self, who: Player, action: str, state: str, fields: dict[str, Any]
    ) -> dict[str, Any]:
        seen = await who.read(f"/v1/incidents/{self.id}")
        body = {"action": action, "revision": seen["revision"], **fields}
        path = f"/v1/incidents/{self.id}/transitions"
        shown: dict[str, Any] = (await who.send("POST", path, json=body)).json()
        _demand(shown["state"] == state, f"{action}: {shown['state']} instead of {state}")
        return shown

    async def _post(self) -> Answer:
        meta = json.dumps(self._meta, ensure_ascii=False)
        parts: list[tuple[str, tuple[str | None, str | bytes, str]]] = [
            ("meta", (None, meta, "application/json"))
        ]
        parts += [
            (file.id, (file.name, file.content, "application/octet-stream"))
            for file in self._evidence
        ]
        return await self._worker.send("POST", "/v1/incidents", files=parts)


def _demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - the finding itself
    if not holds:
        raise Refused(otherwise)
