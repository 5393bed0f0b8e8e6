"""The custody sheet of a file: who may see it, and that it tells every time its bytes were read."""

import hashlib
from dataclasses import replace
from datetime import timedelta

from app.core.memory_store import MemoryStore
from app.system.rereading import reread_by_night
from tests.district import POLICE_LIUHU, District
from tests.incidents.paths import (
    DESK,
    OUTSIDER,
    POLICE,
    SEALED,
    TOWNSHIP,
    WORKER,
    person_id,
    say_why,
    walk,
)
from tests.media.test_derivatives import PHOTO, PLACE, report


def sheet(incident_id: str, file_id: str) -> str:
    return f"/v1/incidents/{incident_id}/attachments/{file_id}/custody"


async def test_who_does_not_see_the_matter_sees_no_sheet(district: District) -> None:
    incident_id, file_id = await report(district)
    other, _ = await report(district)
    outsider = await district.client(OUTSIDER)
    assert (await outsider.get(sheet(incident_id, file_id))).status_code == 404
    assert (await district.anonymous().get(sheet(incident_id, file_id))).status_code == 401
    worker = await district.client(WORKER)
    answer = await worker.get(sheet(other, file_id))
    assert (answer.status_code, answer.json()["code"]) == (404, "attachment-not-found")


async def test_whoever_must_not_know_the_reporter_gets_no_sheet(district: District) -> None:
    incident_id, file_id = await report(district, **SEALED)
    await district.work_off()
    await walk(
        district,
        incident_id,
        (DESK, "escalate", {"reason": "涉嫌盗窃"}),
        (TOWNSHIP, "accept", {}),
        (TOWNSHIP, "dispatch", {"to_unit": POLICE_LIUHU}),
    )
    for who, status in ((POLICE, 403), (TOWNSHIP, 200), (WORKER, 200)):
        client = await district.client(who)
        if who != WORKER:
            assert (await client.get(sheet(incident_id, file_id))).status_code == 403, who
            await say_why(district, who, incident_id)
        assert (await client.get(sheet(incident_id, file_id))).status_code == status, who


async def test_the_sheet_tells_hashes_times_hands_and_every_rereading(district: District) -> None:
    incident_id, file_id = await report(district, place=PLACE)
    worker = await district.client(WORKER)
    before = (await worker.get(sheet(incident_id, file_id))).json()
    assert (before["derivatives"], before["rereadings"], before["taken"]) == ([], [], None)
    await district.work_off()
    district.clock.advance(_until_night(district))
    await reread_by_night(district.resources)
    worker = await district.client(WORKER)
    told = (await worker.get(sheet(incident_id, file_id), params={"datum": "wgs84"})).json()
    assert told["sha256"] == hashlib.sha256(PHOTO).hexdigest()
    assert (told["size"], told["content_type"]) == (len(PHOTO), "image/jpeg")
    assert told["uploaded_by"] == str(await person_id(district, WORKER))
    assert told["uploaded_at"] == "2026-03-11T04:00:00Z"
    assert told["taken"]["distance_m"] == 90
    assert [each["variant"] for each in told["derivatives"]] == ["thumbnail", "preview", "view"]
    assert [(each["purpose"], each["found"]) for each in told["rereadings"]] == [
        ("sample", "whole"),
        ("examination", "whole"),
    ]


async def test_f10_the_nights_sample_asks_for_a_damaged_file_again(district: District) -> None:
    incident_id, file_id = await report(district)
    await district.work_off()
    _flip(district.store, PHOTO)
    district.clock.advance(_until_night(district))
    await reread_by_night(district.resources)
    await district.drain()
    worker = await district.client(WORKER)
    receipt = (await worker.get(f"/v1/incidents/{incident_id}/receipt")).json()
    assert receipt["attachments"][0]["state"] == "expected"
    titles = [item["title"] for item in (await worker.get("/v1/inbox")).json()["items"]]
    assert titles.count("附件需重新上传") == 1
    assert receipt["attachments"][0]["id"] == file_id


def _flip(store: MemoryStore, body: bytes) -> None:
    (key,) = [key for key, kept in store.objects.items() if kept.body == body]
    kept = store.objects[key]
    store.objects[key] = replace(kept, body=kept.body[:-1] + bytes([kept.body[-1] ^ 1]))


def _until_night(district: District) -> timedelta:
    """To the next 4 o'clock by local time."""
    now = district.clock.now().astimezone(district.resources.settings.zone)
    return now.replace(hour=4, minute=0) + timedelta(days=1) - now
