"""Supplements: more words and files later, once per client-made id."""

import hashlib
from typing import Any

import httpx

from app.core.db import new_id
from tests.district import District

JPEG = b"\xff\xd8\xff\xe0" + b"later" * 50


def _supplement(**changes: Any) -> dict[str, Any]:
    return {"id": str(new_id()), "text": "又发现一处", "attachments": []} | changes


def _photo(body: bytes = JPEG) -> dict[str, Any]:
    digest = hashlib.sha256(body).hexdigest()
    return {"id": str(new_id()), "kind": "photo", "size": len(body), "sha256": digest}


async def _send(
    district: District, who: str, incident: str, supplement: dict[str, Any]
) -> httpx.Response:
    client = await district.client(who)
    answer = await client.post(f"/v1/incidents/{incident}/supplements", json=supplement)
    await district.drain()
    return answer


async def _texts(district: District, incident: str) -> list[str]:
    worker = await district.client("worker-yonghong")
    history = (await worker.get(f"/v1/incidents/{incident}/history")).json()["items"]
    return [entry["text"] for entry in history if entry["action"] == "supplement"]


async def test_an_outsider_is_told_nothing(district: District) -> None:
    incident = (await district.report())["id"]
    answer = await _send(district, "worker-minxin", incident, _supplement())
    assert (answer.status_code, answer.json()["code"]) == (404, "incident-not-found")


async def test_nothing_added_is_refused(district: District) -> None:
    incident = (await district.report())["id"]
    answer = await _send(district, "worker-yonghong", incident, _supplement(text=None))
    assert answer.status_code == 422


async def test_a_withdrawn_matter_takes_none(district: District) -> None:
    incident = (await district.report())["id"]
    await district.act("worker-yonghong", incident, "withdraw")
    answer = await _send(district, "worker-yonghong", incident, _supplement())
    assert (answer.status_code, answer.json()["code"]) == (409, "action-not-allowed")


async def test_the_same_id_with_other_words_is_refused(district: District) -> None:
    incident = (await district.report())["id"]
    first = _supplement()
    assert (await _send(district, "worker-yonghong", incident, first)).status_code == 201
    other = await _send(district, "worker-yonghong", incident, first | {"text": "别的话"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert await _texts(district, incident) == ["又发现一处"]


async def test_a_repeat_adds_nothing(district: District) -> None:
    incident = (await district.report())["id"]
    supplement = _supplement()
    await _send(district, "worker-yonghong", incident, supplement)
    again = await _send(district, "worker-yonghong", incident, supplement)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert await _texts(district, incident) == ["又发现一处"]


async def test_the_desk_hears_of_it(district: District) -> None:
    incident = (await district.report())["id"]
    await _send(district, "worker-yonghong", incident, _supplement())
    desk = await district.client("desk-yonghong")
    inbox = (await desk.get("/v1/inbox")).json()["items"]
    assert inbox[-1]["type"] == "incident.commented"
    assert "又发现一处" in inbox[-1]["body"]


async def test_files_come_in_the_same_body(district: District) -> None:
    incident = (await district.report())["id"]
    photo = _photo()
    supplement = _supplement(text=None, attachments=[photo])
    worker = await district.client("worker-yonghong")
    meta = httpx.Request("POST", "http://x", json=supplement).content
    files = [
        ("meta", (None, meta, "application/json")),
        (photo["id"], ("后来.jpg", JPEG, "image/jpeg")),
    ]
    answer = await worker.post(f"/v1/incidents/{incident}/supplements", files=files)
    assert answer.status_code == 201, answer.text
    assert answer.json()["complete"] is True
    stored = [item.body for item in district.store.objects.values()]
    assert stored == [JPEG]


async def test_a_file_that_differs_leaves_nothing(district: District) -> None:
    incident = (await district.report())["id"]
    photo = _photo(b"\xff\xd8\xff\xe0" + b"other" * 50)
    worker = await district.client("worker-yonghong")
    meta = httpx.Request("POST", "http://x", json=_supplement(attachments=[photo])).content
    files = [
        ("meta", (None, meta, "application/json")),
        (photo["id"], ("后来.jpg", JPEG, "image/jpeg")),
    ]
    answer = await worker.post(f"/v1/incidents/{incident}/supplements", files=files)
    assert (answer.status_code, answer.json()["code"]) == (422, "attachments-differ")
    assert not district.store.objects
    assert await _texts(district, incident) == []


async def test_an_attachment_id_known_already_is_refused(district: District) -> None:
    photo = _photo()
    incident = (await district.report(attachments=[photo]))["id"]
    answer = await _send(district, "worker-yonghong", incident, _supplement(attachments=[photo]))
    assert (answer.status_code, answer.json()["code"]) == (422, "attachment-repeated")
    assert await _texts(district, incident) == []
