"""From the report to the pictures in it: queued with the event, made by a job, shown by links."""

import hashlib
import io
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from PIL import Image
from sqlalchemy import func, select, text

from app.core import jobs
from app.core.db import new_id
from app.core.memory_store import MemoryStore
from app.core.resources import Resources
from app.media import derivatives, samples
from app.media.jobs import JOBS
from app.media.models import Derivative, Examination, MediaFile
from app.media.sweeping import Swept, sweep
from tests.conftest import NOON
from tests.district import YONGHONG_GRID, District, new_incident
from tests.incidents.paths import (
    DESK,
    POLICE,
    SEALED,
    TOWNSHIP,
    WORKER,
    form,
    listed,
    look,
    say_why,
    walk,
)
from tests.media.broken import png_bomb

PHOTO = samples.photo(3, 106.68, 35.54, NOON)
PLACE = {"lon": 106.681, "lat": 35.54, "datum": "wgs84", "grid_code": YONGHONG_GRID}


async def report(district: District, body: bytes = PHOTO, **changes: Any) -> tuple[str, str]:
    """A report with one photo, sent in one post; the ids of incident and attachment."""
    file = listed(body)
    meta = new_incident(attachments=[file], **changes)
    worker = await district.client(WORKER)
    answer = await worker.post("/v1/incidents", files=form(meta, {file["id"]: body}))
    assert answer.status_code == 201, answer.text
    return meta["id"], file["id"]


async def attachment(district: District, incident_id: str, who: str = WORKER) -> dict[str, Any]:
    (shown,) = (await look(district, who, incident_id))["attachments"]
    assert isinstance(shown, dict)
    return shown


async def waiting_jobs(resources: Resources) -> list[tuple[str, str]]:
    """Kind and status of every job that is not done."""
    async with resources.sessions.read() as session:
        rows = await session.execute(
            text("SELECT task_name, status::text FROM procrastinate_jobs ORDER BY id")
        )
        return [(row.task_name, row.status) for row in rows]


async def file_of(resources: Resources) -> MediaFile:
    async with resources.sessions.read() as session:
        return (await session.scalars(select(MediaFile))).one()


async def test_m16_a_photo_is_shown_in_three_sizes_and_the_original_stays_as_it_came(
    district: District,
) -> None:
    incident_id, _ = await report(district, place=PLACE)
    shown = await attachment(district, incident_id)
    assert (shown["derivatives"], shown["view_url"], shown["thumbnail_url"]) == (None,) * 3
    await district.work_off()
    shown = await attachment(district, incident_id)
    assert (shown["derivatives"], shown["derivatives_code"]) == ("made", None)
    anyone = district.anonymous()
    original = await anyone.get(shown["url"])
    assert hashlib.sha256(original.content).hexdigest() == shown["sha256"]
    assert original.content == PHOTO
    for name, side in (("view_url", 1280), ("preview_url", 640), ("thumbnail_url", 256)):
        answer = await anyone.get(shown[name])
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/webp"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"].endswith("%E7%8E%B0%E5%9C%BA.webp")
        image = Image.open(io.BytesIO(answer.content))
        assert max(image.size) == side
        assert not dict(image.getexif())
    ranged = await anyone.get(shown["thumbnail_url"], headers={"Range": "bytes=0-3"})
    assert (ranged.status_code, ranged.content) == (206, b"RIFF")
    assert (shown["width"], shown["height"]) == (1280, 960)
    assert shown["taken"] == {
        "at": "2026-03-10T20:00:00Z",  # the camera's noon is Shanghai's: it wrote no offset
        "lon": 106.68,
        "lat": 35.54,
        "datum": "wgs84",
        "distance_m": 90,
    }
    assert await waiting_jobs(district.resources) == []


async def test_m16_the_place_of_a_photo_is_told_in_the_datum_asked_for(district: District) -> None:
    incident_id, _ = await report(district, place=PLACE)
    await district.work_off()
    worker = await district.client(WORKER)
    answer = await worker.get(f"/v1/incidents/{incident_id}", params={"datum": "gcj02"})
    taken = answer.json()["attachments"][0]["taken"]
    assert taken["datum"] == "gcj02"
    assert (round(taken["lon"], 3), round(taken["lat"], 3)) == (106.684, 35.54)
    assert taken["distance_m"] == 90


async def test_a_link_shows_one_variant_of_one_file(district: District) -> None:
    first, _ = await report(district)
    second, _ = await report(district, samples.photo(4, 106.68, 35.54, NOON))
    await district.work_off()
    one, other = await attachment(district, first), await attachment(district, second)
    anyone = district.anonymous()
    _, _, query = one["thumbnail_url"].partition("?")
    for path in (
        one["url"].partition("?")[0],
        one["view_url"].partition("?")[0],
        other["thumbnail_url"].partition("?")[0],
    ):
        answer = await anyone.get(f"{path}?{query}")
        assert (answer.status_code, answer.json()["code"]) == (404, "file-not-found")
    district.clock.advance(timedelta(seconds=300))
    assert (await anyone.get(one["thumbnail_url"])).status_code == 403


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (png_bomb(10_000, 10_000), "too-many-pixels"),
        (b"\xff\xd8\xff\xe0" + b"x" * 100, "undecodable"),
        (PHOTO[:9_000], "undecodable"),
    ],
)
async def test_m13_a_file_of_which_nothing_can_be_made_ends_with_a_code(
    district: District, body: bytes, code: str
) -> None:
    incident_id, _ = await report(district, body)
    await district.work_off()
    shown = await attachment(district, incident_id)
    assert (shown["state"], shown["derivatives"], shown["derivatives_code"]) == (
        "stored",
        "failed",
        code,
    )
    assert (shown["view_url"], shown["thumbnail_url"]) == (None, None)
    assert (await district.anonymous().get(shown["url"])).content == body
    assert await waiting_jobs(district.resources) == []


async def test_a_file_that_takes_its_process_with_it_is_given_up(district: District) -> None:
    """Each try is counted before it is made: three kills, and nobody tries a fourth time."""
    incident_id, _ = await report(district)
    await district.drain()
    async with district.resources.sessions.begin() as session:
        await session.execute(text("UPDATE media_examinations SET tries = 3"))
    await district.work_off()
    shown = await attachment(district, incident_id)
    assert (shown["derivatives"], shown["derivatives_code"]) == ("failed", "decoder-crashed")
    assert await derivatives.queue_again(district.resources) == 1
    await district.work_off()
    assert (await attachment(district, incident_id))["derivatives"] == "made"


async def test_f8_a_store_that_is_down_only_puts_it_off(district: District) -> None:
    incident_id, _ = await report(district)
    await district.drain()
    district.store.down = True
    await jobs.drain(district.resources, JOBS)
    assert (await attachment(district, incident_id))["derivatives"] == "queued"
    assert await waiting_jobs(district.resources) == [("media.examine", "todo")]
    district.store.down = False
    async with district.resources.sessions.begin() as session:
        await session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL"))
    await district.work_off()
    assert (await attachment(district, incident_id))["derivatives"] == "made"


async def test_a_job_of_a_killed_worker_is_due_again(district: District) -> None:
    incident_id, _ = await report(district)
    await district.drain()
    async with district.resources.sessions.begin() as session:
        await session.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))
    await district.work_off()
    assert (await attachment(district, incident_id))["derivatives"] == "made"


async def test_a_job_joins_the_transaction_that_needs_it(district: District) -> None:
    await report(district)
    file = await file_of(district.resources)
    async with district.resources.sessions.read() as session:  # rolls back
        await derivatives.queue(session, [file.id], NOON)
    assert await waiting_jobs(district.resources) == []
    for _ in range(2):
        async with district.resources.sessions.begin() as session:
            await derivatives.queue(session, [file.id], NOON)
    assert await waiting_jobs(district.resources) == [("media.examine", "todo")]


async def test_a_job_whose_file_is_gone_does_nothing(district: District) -> None:
    async with district.resources.sessions.begin() as session:
        await jobs.defer(session, derivatives.EXAMINE, [new_id()])
    await district.work_off()
    assert await waiting_jobs(district.resources) == []


async def test_intake_defers_nothing_itself(district: District) -> None:
    """The statement that takes a report in is measured; the relay's reaction queues the work."""
    await report(district)
    assert await waiting_jobs(district.resources) == []
    await district.drain()
    assert await waiting_jobs(district.resources) == [("media.examine", "todo")]


@pytest.mark.parametrize("harm", ["other", "gone"])
async def test_f10_a_store_that_lies_is_found_out_and_the_phone_is_asked_again(
    district: District, harm: str
) -> None:
    incident_id, file_id = await report(district)
    await district.drain()
    _harm(district.store, harm)
    await district.work_off()
    shown = await attachment(district, incident_id)
    assert (shown["state"], shown["url"], shown["sha256"]) == (
        "expected",
        None,
        hashlib.sha256(PHOTO).hexdigest(),
    )
    worker = await district.client(WORKER)
    inbox = (await worker.get("/v1/inbox")).json()["items"]
    assert [item["title"] for item in inbox if item["type"] == "incident.attachment_lost"] == [
        "附件需重新上传"
    ]
    receipt = (await worker.get(f"/v1/incidents/{incident_id}/receipt")).json()
    assert (receipt["complete"], receipt["attachments"][0]["state"]) == (False, "expected")
    url = f"/v1/incidents/{incident_id}/attachments/{file_id}"
    kind = {"Content-Type": "application/octet-stream"}
    other = await worker.put(url, content=samples.picture(8), headers=kind)
    assert other.status_code == 422
    again = await worker.put(url, content=PHOTO, headers=kind)
    assert again.status_code in {200, 201}, again.text
    await district.work_off()
    shown = await attachment(district, incident_id)
    assert (shown["state"], shown["derivatives"]) == ("stored", "made")


def _harm(store: MemoryStore, harm: str) -> None:
    (key,) = store.objects
    if harm == "gone":
        del store.objects[key]
    else:
        kept = store.objects[key]
        flipped = bytes([kept.body[100] ^ 1])
        store.objects[key] = replace(kept, body=kept.body[:100] + flipped + kept.body[101:])


async def test_the_sweeper_keeps_pictures_that_a_row_names(district: District) -> None:
    await report(district)
    await district.work_off()
    await district.store.put("media/derived/2026/03/stray", b"x", "image/webp")
    district.clock.advance(timedelta(hours=25))
    assert await sweep(district.resources) == Swept(objects=1, uploads=0)
    assert len(district.store.objects) == 4


async def test_pictures_made_again_replace_the_former(district: District) -> None:
    incident_id, _ = await report(district)
    await district.work_off()
    former = set(district.store.objects)
    async with district.resources.sessions.begin() as session:
        await session.execute(text("UPDATE media_examinations SET state = 'queued'"))
        file_id = (await session.scalars(select(Examination.file_id))).one()
        await jobs.defer(session, derivatives.EXAMINE, [file_id])
    await district.work_off()
    assert len(district.store.objects) == 4
    assert len(former & set(district.store.objects)) == 1  # the original
    async with district.resources.sessions.read() as session:
        assert await session.scalar(select(func.count()).select_from(Derivative)) == 3
    shown = await attachment(district, incident_id)
    assert (await district.anonymous().get(shown["view_url"])).status_code == 200


async def test_of_a_sealed_matter_the_original_is_for_those_who_know_its_reporter(
    district: District,
) -> None:
    """What the camera wrote would tell who is hidden: those who handle it see the pictures."""
    incident_id, _ = await report(district, **SEALED)
    await district.work_off()
    await walk(
        district,
        incident_id,
        (DESK, "escalate", {"reason": "涉嫌盗窃"}),
        (TOWNSHIP, "accept", {}),
        (TOWNSHIP, "dispatch", {"to_unit": "620802105-police"}),
    )
    for who, known in ((WORKER, True), (TOWNSHIP, True), (POLICE, False)):
        await say_why(district, who, incident_id)
        shown = await attachment(district, incident_id, who)
        assert shown["view_url"] is not None
        assert (shown["url"] is not None, shown["taken"] is not None) == (known, known), who


async def test_a_file_id_is_no_secret_but_its_links_are(district: District) -> None:
    await report(district)
    await district.work_off()
    file = await file_of(district.resources)
    for variant in ("original", "view", "preview", "thumbnail"):
        answer = await district.anonymous().get(f"/v1/files/{UUID(str(file.id))}/{variant}")
        assert answer.status_code == 404
