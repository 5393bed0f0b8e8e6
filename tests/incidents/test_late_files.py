"""Files that come after their report: PUT of the raw bytes."""

import asyncio
import hashlib
from base64 import b64encode
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.core.db import new_id
from app.incidents.models import IncidentMedia
from app.media.models import MediaFile
from tests.district import District
from tests.incidents.paths import (
    COMPLETE,
    DESK,
    OUTSIDER,
    PASS,
    POLICE,
    WORKER,
    incident_in,
    listed,
    look,
    photo,
    rows_of,
    signed_in,
    walk,
)


async def _put(
    district: District, who: str, incident: str, file: str, body: bytes, **headers: str
) -> httpx.Response:
    client = await signed_in(district, who)
    url = f"/v1/incidents/{incident}/attachments/{file}"
    return await client.put(url, content=body, headers=headers)


async def _reported(district: District, body: bytes, **changes: Any) -> tuple[str, str]:
    """A JSON report whose one file is still expected: the ids of both."""
    file = listed(body, **changes)
    return (await district.report(attachments=[file]))["id"], file["id"]


def _refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def _stored_files(district: District) -> tuple[int, int]:
    async with district.resources.sessions.read() as session:
        rows = await session.scalar(select(func.count()).select_from(MediaFile))
    return rows or 0, len(district.store.objects)


async def test_outside_the_scope_there_is_no_incident(shared_district: District) -> None:
    incident, file = await _reported(shared_district, photo())
    for who in (OUTSIDER, POLICE):
        _refused(
            await _put(shared_district, who, incident, file, photo()), 404, "incident-not-found"
        )
    _refused(
        await _put(shared_district, WORKER, str(new_id()), file, photo()), 404, "incident-not-found"
    )


async def test_a_foreign_file_does_not_exist(shared_district: District) -> None:
    """A desk sees the matter; what its reporter has promised is not the desk's to bring."""
    incident, file = await _reported(shared_district, photo())
    _refused(
        await _put(shared_district, DESK, incident, file, photo()), 404, "attachment-not-found"
    )


async def test_new_evidence_is_for_those_involved(shared_district: District) -> None:
    incident, _ = await _reported(shared_district, photo())
    new = str(new_id())
    _refused(
        await _put(shared_district, "desk-liuhu", incident, new, photo()), 403, "action-forbidden"
    )
    _refused(
        await _put(shared_district, "supervisor-kongtong", incident, new, photo()),
        403,
        "action-forbidden",
    )


@pytest.mark.parametrize("state", ["rejected", "voided", "closed"])
async def test_new_evidence_comes_too_late_when_the_matter_has_ended(
    shared_district: District, state: str
) -> None:
    incident = await incident_in(shared_district, state)
    answer = await _put(shared_district, WORKER, incident, str(new_id()), photo())
    _refused(answer, 409, "action-not-allowed")


async def test_m9_bytes_that_differ_from_the_manifest_are_refused(
    shared_district: District,
) -> None:
    before = await _stored_files(shared_district)
    for wrong in ({"sha256": "0" * 64}, {"size": 5}):
        incident, file = await _reported(shared_district, photo(), **wrong)
        answer = await _put(shared_district, WORKER, incident, file, photo())
        _refused(answer, 422, "attachments-differ")
        assert answer.json()["attachments"] == [file]
    assert await _stored_files(shared_district) == before


async def test_m9_content_digest_is_honoured(shared_district: District) -> None:
    before = await _stored_files(shared_district)
    incident, file = await _reported(shared_district, photo())
    digest = b64encode(hashlib.sha256(b"other").digest()).decode()
    answer = await _put(
        shared_district,
        WORKER,
        incident,
        file,
        photo(),
        **{"Content-Digest": f"sha-256=:{digest}:"},
    )
    _refused(answer, 400, "digest-mismatch")
    assert await _stored_files(shared_district) == before


async def test_m12_only_media_are_taken(shared_district: District) -> None:
    page = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    incident, file = await _reported(shared_district, page)
    assert (await _put(shared_district, WORKER, incident, file, page)).status_code == 415
    incident, file = await _reported(shared_district, photo(), kind="video")
    assert (await _put(shared_district, WORKER, incident, file, photo())).status_code == 415


async def test_f8_a_store_that_is_down_asks_to_come_again(shared_district: District) -> None:
    incident, file = await _reported(shared_district, photo())
    shared_district.store.down = True
    try:
        answer = await _put(shared_district, WORKER, incident, file, photo())
    finally:
        shared_district.store.down = False
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert (await look(shared_district, WORKER, incident))["attachments"][0]["state"] == "expected"
    assert (await _put(shared_district, WORKER, incident, file, photo())).status_code == 201


async def test_m8_other_bytes_are_refused_and_the_same_are_welcome(
    shared_district: District,
) -> None:
    incident, file = await _reported(shared_district, photo(1))
    first = await _put(shared_district, WORKER, incident, file, photo(1))
    assert (first.status_code, first.json()["complete"]) == (201, True)
    before = await _stored_files(shared_district)
    other = await _put(shared_district, WORKER, incident, file, photo(2))
    _refused(other, 409, "attachment-immutable")
    again = await _put(shared_district, WORKER, incident, file, photo(1))
    assert (again.status_code, again.json()) == (200, first.json())
    assert await _stored_files(shared_district) == before


@pytest.mark.parametrize("is_listed", [True, False])
async def test_m8_two_at_once_with_other_bytes_end_as_one_and_one_refusal(
    shared_district: District, *, is_listed: bool
) -> None:
    """Both find the place free and store their bytes; the row decides."""
    if is_listed:
        incident, file = await _reported(shared_district, photo(1), size=None, sha256=None)
    else:
        incident, file = (await shared_district.report())["id"], str(new_id())
    rows, objects = await _stored_files(shared_district)
    shared_district.store.gate = asyncio.Event()
    calls = shared_district.store.calls
    both = [
        asyncio.create_task(_put(shared_district, WORKER, incident, file, photo(seed)))
        for seed in (1, 2)
    ]
    async with asyncio.timeout(10):
        while shared_district.store.calls < calls + 2:  # noqa: ASYNC110 - a double without events
            await asyncio.sleep(0)
    shared_district.store.gate.set()
    shared_district.store.gate = None
    answers = await asyncio.gather(*both)
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert await _stored_files(shared_district) == (rows + 1, objects + 1)


async def test_m8_two_at_once_with_the_same_bytes_are_both_content(
    shared_district: District,
) -> None:
    incident, file = await _reported(shared_district, photo(1))
    rows, objects = await _stored_files(shared_district)
    answers = await asyncio.gather(
        *(_put(shared_district, WORKER, incident, file, photo(1)) for _ in range(5))
    )
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert sum(answer.status_code == 201 for answer in answers) == 1
    assert await _stored_files(shared_district) == (rows + 1, objects + 1)


async def test_i9_a_report_is_shown_before_its_files_are_there(shared_district: District) -> None:
    bodies = [photo(1), photo(2)]
    files = [listed(body) for body in bodies]
    incident = (await shared_district.report(attachments=files))["id"]
    shown = await look(shared_district, WORKER, incident)
    assert [item["state"] for item in shown["attachments"]] == ["expected", "expected"]
    assert [item["url"] for item in shown["attachments"]] == [None, None]
    for file, body, complete in zip(files, bodies, (False, True), strict=True):
        answer = await _put(shared_district, WORKER, incident, file["id"], body)
        assert (answer.status_code, answer.json()["complete"]) == (201, complete)
    worker = await signed_in(shared_district, WORKER)
    for item, body in zip(
        (await look(shared_district, WORKER, incident))["attachments"], bodies, strict=True
    ):
        assert (await worker.get(item["url"])).content == body


async def test_the_reporter_hears_once_that_all_files_are_there(
    shared_district: District,
) -> None:
    bodies = [photo(1), photo(2)]
    files = [listed(body) for body in bodies]
    incident = (await shared_district.report(attachments=files))["id"]
    for file, body in zip(files, bodies, strict=True):
        await _put(shared_district, WORKER, incident, file["id"], body)
        await _put(shared_district, WORKER, incident, file["id"], body)
    await shared_district.drain()
    worker = await signed_in(shared_district, WORKER)
    inbox = (await worker.get("/v1/inbox", params={"limit": 200})).json()["items"]
    told = [item["title"] for item in inbox if item["incident_id"] == incident]
    assert told.count("附件已收齐") == 1


async def test_a_late_file_of_the_report_is_taken_after_the_end(
    shared_district: District,
) -> None:
    file = listed(photo())
    incident = await incident_in(shared_district, "rejected", attachments=[file])
    answer = await _put(shared_district, WORKER, incident, file["id"], photo())
    assert (answer.status_code, answer.json()["complete"]) == (201, True)


async def test_evidence_of_a_handler_goes_with_the_outcome(shared_district: District) -> None:
    incident = await incident_in(shared_district, "in_progress")
    evidence = str(new_id())
    client = await signed_in(shared_district, POLICE)
    answer = await client.put(
        f"/v1/incidents/{incident}/attachments/{evidence}",
        content=photo(3),
        params={"name": "../处置后.png"},
    )
    assert answer.status_code == 201
    who, action, fields = COMPLETE
    await walk(shared_district, incident, (who, action, fields | {"attachments": [evidence]}), PASS)
    rows = await rows_of(shared_district, incident)
    completed = next(entry for entry in rows.history if entry.action == "complete")
    assert completed.facts == {"attachments": [evidence]}
    shown = (await look(shared_district, WORKER, incident))["attachments"]
    assert [(item["id"], item["name"], item["kind"]) for item in shown] == [
        (evidence, "处置后.png", "photo")
    ]
    async with shared_district.resources.sessions.read() as session:
        positions = await session.scalars(
            select(IncidentMedia.position).where(IncidentMedia.incident_id == rows.incident.id)
        )
        assert list(positions) == [0]


async def test_a_transition_can_not_name_a_file_of_another_matter(
    shared_district: District,
) -> None:
    file = listed(photo())
    await shared_district.report(attachments=[file])
    incident = await incident_in(shared_district, "in_progress")
    answer = await shared_district.act(
        POLICE, incident, "complete", outcome="已处理", attachments=[file["id"]]
    )
    _refused(answer, 404, "attachment-not-found")
    assert answer.json()["attachments"] == [file["id"]]
