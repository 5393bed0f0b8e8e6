"""Idempotency keys: the first answer of an unsafe operation is kept and given again."""

import asyncio

import httpx
from sqlalchemy import func, select

from app.core.idempotency import KeptAnswer
from app.incidents.models import HistoryEntry
from tests.district import District

KEY = {"Idempotency-Key": '"01939e6a-0001-7000-8000-000000000001"'}


async def _comment(client: httpx.AsyncClient, incident: str, text: str) -> httpx.Response:
    return await client.post(
        f"/v1/incidents/{incident}/transitions",
        json={"action": "comment", "text": text},
        headers=KEY,
    )


async def _comments(district: District, incident: str) -> int:
    async with district.resources.sessions.read() as session:
        count = await session.scalar(
            select(func.count())
            .select_from(HistoryEntry)
            .where(HistoryEntry.incident_id == incident, HistoryEntry.action == "comment")
        )
    return count or 0


async def test_i11_another_content_under_the_same_key_is_refused(district: District) -> None:
    incident = (await district.report())["id"]
    worker = await district.client("worker-yonghong")
    first = await _comment(worker, incident, "补充一句")
    again = await _comment(worker, incident, "另一句")
    assert (first.status_code, again.status_code) == (200, 422)
    assert again.json()["code"] == "operation-key-reused"
    assert await _comments(district, incident) == 1


async def test_i11_a_malformed_key_is_refused(district: District) -> None:
    incident = (await district.report())["id"]
    worker = await district.client("worker-yonghong")
    answer = await worker.post(
        f"/v1/incidents/{incident}/transitions",
        json={"action": "comment", "text": "一句"},
        headers={"Idempotency-Key": "k" * 101},
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "operation-key-malformed")
    assert await _comments(district, incident) == 0


async def test_i11_ten_at_once_are_carried_out_once(district: District) -> None:
    incident = (await district.report())["id"]
    worker = await district.client("worker-yonghong")
    answers = await asyncio.gather(*(_comment(worker, incident, "补充一句") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    replayed = [answer for answer in answers if "idempotency-replayed" in answer.headers]
    assert len(replayed) == 9
    assert {answer.content for answer in answers} == {answers[0].content}
    assert await _comments(district, incident) == 1


async def test_i7_a_refused_operation_is_tried_again(district: District) -> None:
    incident = (await district.report())["id"]
    desk = await district.client("desk-yonghong")
    url = f"/v1/incidents/{incident}/transitions"
    stale = await desk.post(url, json={"action": "accept", "revision": 1}, headers=KEY)
    assert stale.status_code == 412
    current = (await desk.get(f"/v1/incidents/{incident}")).json()["revision"]
    accept = {"action": "accept", "revision": current}
    done = await desk.post(url, json=accept, headers=KEY)
    again = await desk.post(url, json=accept, headers=KEY)
    assert (done.status_code, again.status_code) == (200, 200)
    assert again.json() == done.json()
    assert again.headers["etag"] == done.headers["etag"]


async def test_i11_keys_of_different_people_never_meet(district: District) -> None:
    incident = (await district.report())["id"]
    for who in ("worker-yonghong", "desk-yonghong"):
        answer = await _comment(await district.client(who), incident, "同一句")
        assert answer.status_code == 200
        assert "idempotency-replayed" not in answer.headers
    assert await _comments(district, incident) == 2


async def test_a_kept_answer_hides_its_secret(district: District) -> None:
    admin = await district.client("admin")
    unit = (await admin.get("/v1/units", params={"q": "柳湖镇综治中心"})).json()["items"][0]
    new = {"code": "second-platform", "name": "第二平台", "unit": unit["code"]}
    first = await admin.post("/v1/platforms", json=new, headers=KEY)
    again = await admin.post("/v1/platforms", json=new, headers=KEY)
    assert first.status_code == again.status_code == 201, first.text
    assert first.json() == again.json()
    secret = next(value for name, value in first.json().items() if "secret" in name)
    async with district.resources.sessions.read() as session:
        kept = await session.scalar(select(KeptAnswer.sealed_body))
    assert kept is not None
    assert secret not in kept
