"""One matter from the phone to its outcome, and every refusal a phone has to know, recorded."""

import base64
import hashlib
import json
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import select

from app.core.db import new_id
from app.core.events import record
from app.incidents.models import Incident
from app.media.models import MediaFile
from app.media.rereading import note
from app.notifications.events import OutcomeUnseen
from app.routing.escalation import Clocks
from app.webhooks.events import EndpointDisabled
from tests.district import LIUHU, PASSWORD, POLICE_LIUHU, District, new_incident
from tests.guardrails.recording import Recorder, listen

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SHA256 = hashlib.sha256(PICTURE).hexdigest()
FIRST, LATE = "0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a11", "0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a12"
SINGLE, IN_POST = "0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a21", "0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a22"
SUPPLEMENT = "0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a31"
MASTER, FOLLOWER = "0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a41", "0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0a42"
NEVER_SENT = "0193c2f0-7b1e-7c3a-9d52-2f9f6b1c0aff"
WORKER = "worker-yonghong"
BOUNDARY = {"Content-Type": "multipart/form-data; boundary=a-boundary-of-the-phone"}


class Story:
    """`await Story(district).tell()`; then `recorder.examples` and the database are full."""

    def __init__(self, district: District) -> None:
        self.district = district
        self.recorder = Recorder()

    async def tell(self) -> None:
        await self._sign_in()
        await self._look_around()
        await self._report_text_first()
        await self._refused()
        await self._act()
        await self._hear_back()
        await self._report_in_one_post()
        await self._leave_unseen()
        await self._lose_a_file()
        await self._lose_a_platform()
        await self._let_lie()

    async def _let_lie(self) -> None:
        """Two reports of one thing are merged, and nobody cares for it in time."""
        client = await self.district.client(WORKER)
        for incident in (MASTER, FOLLOWER):
            await client.post("/v1/incidents", json=new_incident(id=incident))
        await self.district.drain()
        merged = await self.district.act("desk-yonghong", FOLLOWER, "merge", into=MASTER)
        assert merged.status_code == httpx.codes.OK, merged.text
        self.district.clock.advance(timedelta(days=2))
        await Clocks(self.district.resources).work()
        await self.district.drain()

    async def _lose_a_file(self) -> None:
        """The store did not keep a file, which the night's sample finds out."""
        resources = self.district.resources
        async with resources.sessions.begin() as session:
            file_id = await session.scalar(
                select(MediaFile.id)
                .where(MediaFile.state == "stored")
                .order_by(MediaFile.id.desc())
            )
            assert file_id is not None
            await note(session, file_id, "sample", "gone", at=resources.clock.now())
        await self.district.drain()

    async def _lose_a_platform(self) -> None:
        """Its receiver answered 410."""
        resources = self.district.resources
        async with resources.sessions.begin() as session:
            gone = EndpointDisabled(endpoint_id=new_id(), area_code=LIUHU, why="gone")
            await record(session, gone, at=resources.clock.now())
        await self.district.drain()

    async def _leave_unseen(self) -> None:
        """What the reminders come to when nobody looks; the hours before it are not told."""
        resources = self.district.resources
        async with resources.sessions.begin() as session:
            incident = await session.scalar(select(Incident).order_by(Incident.id).limit(1))
            assert incident is not None
            event = OutcomeUnseen(
                incident_id=incident.id,
                number=incident.number,
                reporter_id=incident.reporter_id,
                sealed=incident.sealed,
                seq=1,
                state=incident.state,
                owner_unit_id=incident.owner_unit_id,
                village_code=incident.village_code,
                township_code=incident.township_code,
            )
            await record(session, event, at=resources.clock.now())
        await self.district.drain()

    async def _sign_in(self) -> None:
        client = self.district.anonymous()
        form = {
            "grant_type": "password",
            "username": WORKER,
            "password": PASSWORD,
            "terminal_id": "installation-0001",
            "terminal_model": "ZZ-100",
            "app_version": "1.0.0",
        }
        keep = self.recorder.keep
        wrong = {**form, "password": "not-this-one"}
        keep("sign-in-refused", "A wrong password", await client.post("/v1/token", data=wrong))
        answer = keep("sign-in", "Signing in", await client.post("/v1/token", data=form))
        again = {
            "grant_type": "refresh_token",
            "refresh_token": answer.json()["refresh_token"],
            "terminal_id": form["terminal_id"],
        }
        key = {"Idempotency-Key": NEVER_SENT}
        keep(
            "refresh",
            "Going on with the refresh token; the key makes a repeat within a minute safe",
            await client.post("/v1/token", data=again, headers=key),
        )
        keep("unauthenticated", "Without a token", await client.get("/v1/inbox"))
        await client.aclose()

    async def _look_around(self) -> None:
        client = await self.district.client(WORKER)
        keep = self.recorder.keep
        keep("me", "Who I am and what I may do", await client.get("/v1/me"))
        config = keep("client-config", "Limits and ways", await client.get("/v1/client-config"))
        keep(
            "client-config-unchanged",
            "Asked again with the ETag",
            await client.get(
                "/v1/client-config", headers={"If-None-Match": config.headers["etag"]}
            ),
        )
        keep("categories", "What kind", await client.get("/v1/categories?limit=2"))
        point = "/v1/areas/locate?lon=106.68&lat=35.54&datum=gcj02&accuracy_m=12"
        keep("locate", "The grid of a point", await client.get(point))
        keep("units", "Units in reach", await client.get("/v1/units?q=派出所&limit=2"))

    async def _report_text_first(self) -> None:
        client = await self.district.client(WORKER)
        keep = self.recorder.keep
        photo = {"id": LATE, "kind": "photo", "name": "现场.png", "size": len(PICTURE)}
        body = new_incident(id=FIRST, attachments=[{**photo, "sha256": SHA256}])
        headers = {"Client-Time": "2026-03-11T04:00:03Z"}
        keep(
            "report-text-first",
            "The text first, its files announced",
            await client.post("/v1/incidents", json=body, headers=headers),
        )
        keep(
            "report-repeated",
            "The same again: the first receipt",
            await client.post("/v1/incidents", json=body),
        )
        other = {**body, "text": "另一件事"}
        keep(
            "report-other-content",
            "The same id with other content",
            await client.post("/v1/incidents", json=other),
        )
        await self.district.drain()
        receipt = f"/v1/incidents/{FIRST}/receipt"
        keep("receipt", "Did it arrive, and what is missing", await client.get(receipt))
        unknown = f"/v1/incidents/{NEVER_SENT}/receipt"
        keep("receipt-unknown", "It never arrived: send it", await client.get(unknown))
        place = f"/v1/incidents/{FIRST}/attachments/{LATE}"
        keep("late-file", "A file that follows", await client.put(place, content=PICTURE))
        keep("late-file-repeated", "The same bytes", await client.put(place, content=PICTURE))
        keep(
            "late-file-other-bytes", "Other bytes", await client.put(place, content=PICTURE + b"x")
        )
        more = {"id": SUPPLEMENT, "text": "二单元也有"}
        keep(
            "supplement",
            "More words later; its own id makes a repeat harmless",
            await client.post(f"/v1/incidents/{FIRST}/supplements", json=more),
        )
        keep("incident", "The incident", await client.get(f"/v1/incidents/{FIRST}"))
        await self.district.drain()

    async def _refused(self) -> None:
        client = await self.district.client(WORKER)
        keep = self.recorder.keep
        bad = new_incident(id="not-an-id", urgency="very")
        keep("invalid", "Mistakes, each named", await client.post("/v1/incidents", json=bad))
        english = {"Accept-Language": "en"}
        keep(
            "unknown-category",
            "A category that is not there, answered in English",
            await client.post(
                "/v1/incidents", json=new_incident(id=NEVER_SENT, category="77"), headers=english
            ),
        )
        moves = f"/v1/incidents/{FIRST}/transitions"
        keep(
            "revision-missing",
            "A transition without the revision that was seen",
            await client.post(moves, json={"action": "withdraw"}),
        )
        keep(
            "revision-stale",
            "A transition with an old revision",
            await client.post(moves, json={"action": "withdraw", "revision": 1}),
        )
        keep(
            "action-forbidden",
            "An action of somebody else's role",
            await client.post(moves, json={"action": "accept", "revision": 2}),
        )
        keep(
            "not-found",
            "Outside the own scope nothing exists",
            await (await self.district.client("worker-minxin")).get(f"/v1/incidents/{FIRST}"),
        )

    async def _act(self) -> None:
        steps: tuple[tuple[str, str, dict[str, Any]], ...] = (
            ("desk-yonghong", "escalate", {"reason": "需要派出所协助"}),
            ("desk-liuhu", "accept", {}),
            ("desk-liuhu", "dispatch", {"to_unit": POLICE_LIUHU}),
            ("police-liuhu", "sign", {}),
            ("police-liuhu", "progress", {"text": "已到现场"}),
            ("worker-yonghong", "comment", {"text": "谢谢，物业也在场"}),
            ("police-liuhu", "complete", {"outcome": "杂物已清，通道畅通"}),
            ("desk-liuhu", "verify_pass", {}),
            ("worker-yonghong", "rate", {"score": 5, "text": "很快"}),
        )
        for username, action, fields in steps:
            self.district.clock.advance(timedelta(minutes=7))
            answer = await self.district.act(username, FIRST, action, **fields)
            assert answer.status_code == httpx.codes.OK, answer.text
            self.recorder.keep(f"move-{action.replace('_', '-')}", f"{username}: {action}", answer)
        late = await self.district.act("police-liuhu", FIRST, "progress", text="补充")
        self.recorder.keep("action-not-allowed", "Not in this state; what is allowed instead", late)

    async def _hear_back(self) -> None:
        client = await self.district.client(WORKER)
        keep = self.recorder.keep
        keep("inbox", "What I was told", await client.get("/v1/inbox?after=0&limit=3"))
        keep("inbox-newer", "What is newer than 10", await client.get("/v1/inbox?after=10"))
        keep("ack", "Read up to 3", await client.post("/v1/inbox/ack", json={"up_to": 3}))
        await self._stream(client)
        keep("history", "Every step", await client.get(f"/v1/incidents/{FIRST}/history?limit=2"))
        mine = "/v1/incidents?mine=true&limit=1"
        keep("my-incidents", "My reports, newest first", await client.get(mine))
        keep("sessions", "Where I am signed in", await client.get("/v1/me/sessions?limit=1"))

    async def _stream(self, client: httpx.AsyncClient) -> None:
        path = "/v1/inbox/stream"
        headers = {"authorization": client.headers["Authorization"], "last-event-id": "8"}
        head = (await client.get("/v1/inbox?after=0&limit=1")).json()["head_seq"]
        text = await listen(self.district.app, path, headers, f"id: {head}\n".encode())
        self.recorder.put(
            "stream",
            "The inbox live, from number 9 on",
            {
                "method": "GET",
                "path": path,
                "headers": {"authorization": "Bearer …", "last-event-id": "8"},
                "body": None,
            },
            {"status": 200, "headers": {"content-type": "text/event-stream"}, "body": text},
        )

    async def _report_in_one_post(self) -> None:
        client = await self.district.client(WORKER)
        photo = {"id": IN_POST, "kind": "photo", "name": "线索.png", "size": len(PICTURE)}
        meta = new_incident(
            id=SINGLE,
            category="0301",
            text="车棚电动车被盗",
            attachments=[{**photo, "sha256": SHA256}],
        )
        files = [
            ("meta", (None, json.dumps(meta, ensure_ascii=False).encode(), "application/json")),
            (IN_POST, ("线索.png", PICTURE, "image/png")),
        ]
        self.recorder.keep(
            "report-in-one-post",
            "Text and files in one post, for small files",
            await client.post("/v1/incidents", files=files, headers=BOUNDARY),
        )
        await self.district.drain()
