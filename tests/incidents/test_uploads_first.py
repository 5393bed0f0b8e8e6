"""Files that come before their report, and what a report shows of files under way (I9, U13, R3)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, text, update

from app.core.db import new_id
from app.incidents.models import IncidentMedia
from app.incidents.taking_up import TakingUp
from app.media.models import MediaFile, Upload
from app.media.sweeping import sweep
from tests.district import new_incident
from tests.incidents.listening import Served
from tests.incidents.paths import WORKER, form, listed, look, photo, rows_of, signed_in
from tests.incidents.uploading import Phone, object_of, picture_of, refused, reported, row_of

Json = dict[str, Any]


async def _uploaded(phone: Phone, body: bytes, file: str, **told: str) -> str:
    """An upload of an attachment that no report has named yet, whole."""
    url = await phone.created(len(body), attachment_id=file, **told)
    assert (await phone.patch(url, 0, body)).status == 204
    return url


async def _report(door: Served, *files: Json, bodies: dict[str, bytes] | None = None) -> Json:
    """Its receipt: as JSON, or as multipart with these bodies."""
    client = await signed_in(door.district, WORKER)
    meta = new_incident(attachments=list(files))
    if bodies is None:
        answer = await client.post("/v1/incidents", json=meta)
    else:
        answer = await client.post("/v1/incidents", files=form(meta, bodies))
    assert answer.status_code == 201, answer.text
    receipt: Json = answer.json()
    again = await client.post("/v1/incidents", json=meta)
    assert (again.status_code, again.json()) == (200, receipt)
    return receipt


def _states(shown: Json) -> list[str]:
    return [item["state"] for item in shown["attachments"]]


async def test_u4_i9_a_report_in_json_finds_the_file_that_came_before_it(phone: Phone) -> None:
    body = picture_of(30_000)
    file = listed(body, captured_at="2026-03-11T03:59:00Z")
    url = await _uploaded(phone, body, file["id"])
    receipt = await _report(phone.served, file)
    assert (_states(receipt), receipt["complete"]) == (["stored"], True)
    await phone.served.district.drain()
    shown = await look(phone.served.district, WORKER, receipt["id"])
    assert (shown["attachments"][0]["sha256"], shown["complete"]) == (file["sha256"], True)
    client = await signed_in(phone.served.district, WORKER)
    assert (await client.get(shown["attachments"][0]["url"])).content == body
    names = [event.name for event in (await rows_of(phone.served.district, receipt["id"])).events]
    assert names.count("incident.attachment_stored") == 1
    row = await row_of(phone.served, url)
    async with phone.served.district.resources.sessions.read() as session:
        kept = await session.get_one(MediaFile, row.media_id)
    assert (kept.filename, kept.captured_at is not None) == ("现场.png", True)
    refused(await phone.ask("DELETE", url), 409, "upload-attached")


async def test_u4_m9_a_multipart_report_without_that_files_bytes_finds_it(phone: Phone) -> None:
    early, late = picture_of(30_000), photo(7)
    files = listed(early), listed(late)
    await _uploaded(phone, early, files[0]["id"])
    receipt = await _report(phone.served, *files, bodies={files[1]["id"]: late})
    assert (_states(receipt), receipt["complete"]) == (["stored", "stored"], True)


async def test_u4_a_supplement_finds_its_file_too(phone: Phone) -> None:
    district = phone.served.district
    incident = (await district.report())["id"]
    body = picture_of(30_000)
    file = listed(body)
    await _uploaded(phone, body, file["id"])
    client = await signed_in(district, WORKER)
    more = {"id": str(new_id()), "text": "补充照片", "attachments": [file]}
    answer = await client.post(f"/v1/incidents/{incident}/supplements", files=form(more, {}))
    assert answer.status_code == 201, answer.text
    assert _states(answer.json()) == ["stored"]


async def test_u4_i9_while_it_comes_the_report_says_so(phone: Phone) -> None:
    """Begun before the report, gone on with after it, under the address it was begun at."""
    body = picture_of(30_000)
    file = listed(body)
    url = await phone.created(len(body), attachment_id=file["id"])
    assert (await phone.patch(url, 0, body[:10_000])).status == 204
    receipt = await _report(phone.served, file)
    assert (_states(receipt), receipt["complete"]) == (["receiving"], False)
    again = await phone.create(len(body), incident_id=receipt["id"], attachment_id=file["id"])
    assert (again.headers["location"], again.headers["upload-offset"]) == (url, "10000")
    assert (await phone.patch(url, 10_000, body[10_000:])).status == 204
    assert _states(await look(phone.served.district, WORKER, receipt["id"])) == ["stored"]


async def test_u13_i9_each_state_of_a_file_is_shown(phone: Phone) -> None:
    district = phone.served.district
    body = picture_of(30_000)
    incident, file = await reported(phone.served, body)

    async def state() -> str:
        (shown,) = _states(await look(district, WORKER, incident))
        client = await signed_in(district, WORKER)
        kept = (await client.get(f"/v1/incidents/{incident}/receipt")).json()
        assert _states(kept) == [shown]
        return shown

    assert await state() == "expected"
    url = await phone.created(len(body), incident_id=incident, attachment_id=file)
    await phone.patch(url, 0, body[:9000])
    assert await state() == "receiving"
    async with _verifying(phone, url, body[9000:], 9000):
        assert await state() == "verifying"
    assert await state() == "stored"


@asynccontextmanager
async def _verifying(phone: Phone, url: str, rest: bytes, offset: int) -> AsyncIterator[None]:
    """The last byte has come, and the store takes its time over what follows."""
    store = phone.served.district.store
    slow = store.size

    async def wait_then_size(key: str) -> int:
        await gate.wait()
        return await slow(key)

    gate = asyncio.Event()
    store.size = wait_then_size  # type: ignore[method-assign]  # the double's own door
    finishing = asyncio.create_task(phone.patch(url, offset, rest))
    try:
        async with asyncio.timeout(10):
            while (await row_of(phone.served, url)).state != "verifying":  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        yield
    finally:
        gate.set()
        answer = await finishing
        del store.size
    assert answer.status == 204


async def test_u13_what_differs_from_the_manifest_is_rejected_and_can_be_sent_anew(
    phone: Phone,
) -> None:
    door = phone.served
    body, other = picture_of(30_000, 1), picture_of(30_000, 2)
    file = listed(body)
    url = await _uploaded(phone, other, file["id"])
    key = (await row_of(door, url)).object_key
    receipt = await _report(door, file)
    assert (_states(receipt), receipt["complete"]) == (["rejected"], False)
    row = await row_of(door, url)
    assert (row.state, row.refusal) == ("rejected", "attachments-differ")
    assert key not in door.district.store.objects
    anew = await phone.created(len(body), incident_id=receipt["id"], attachment_id=file["id"])
    assert anew != url
    assert (await phone.patch(anew, 0, body)).status == 204
    assert _states(await look(door.district, WORKER, receipt["id"])) == ["stored"]


async def test_u13_rejected_at_its_end_where_the_report_came_in_between(phone: Phone) -> None:
    body, other = picture_of(30_000, 1), picture_of(30_000, 2)
    file = listed(body)
    url = await phone.created(len(body), attachment_id=file["id"])
    await phone.patch(url, 0, other[:10_000])
    receipt = await _report(phone.served, file)
    refused(await phone.patch(url, 10_000, other[10_000:]), 422, "attachments-differ")
    assert _states(await look(phone.served.district, WORKER, receipt["id"])) == ["rejected"]


async def test_u20_nobody_elses_file_is_taken(phone: Phone) -> None:
    body = picture_of(30_000)
    file = listed(body)
    theirs = await Phone.of(phone.served, "worker-minxin")
    url = await _uploaded(theirs, body, file["id"])
    receipt = await _report(phone.served, file)
    await TakingUp(phone.served.district.resources).work()
    assert _states(await look(phone.served.district, WORKER, receipt["id"])) == ["expected"]
    assert (await row_of(phone.served, url)).incident_id is None


async def test_r3_a_file_that_the_store_lost_is_sent_again_under_a_new_address(
    phone: Phone,
) -> None:
    body = picture_of(30_000)
    incident, file = await reported(phone.served, body)
    url = await phone.created(len(body), incident_id=incident, attachment_id=file)
    await phone.patch(url, 0, body)
    async with phone.served.district.resources.sessions.begin() as session:
        await session.execute(
            update(IncidentMedia)
            .where(IncidentMedia.attachment_id == file)
            .values(state="expected", media_id=None)
        )
    anew = await phone.created(len(body), incident_id=incident, attachment_id=file)
    assert anew != url
    assert await phone.offset(anew) == 0
    assert (await phone.patch(anew, 0, body)).status == 204
    assert _states(await look(phone.served.district, WORKER, incident)) == ["stored"]


# --- what a killed process leaves ----------------------------------------------------------------


async def test_u13_u17_what_was_left_verifying_is_finished_by_the_worker(phone: Phone) -> None:
    district = phone.served.district
    body = picture_of(30_000)
    incident, file = await reported(phone.served, body)
    url = await phone.created(len(body), incident_id=incident, attachment_id=file)
    district.store.size_lie = 1
    try:
        answer = await phone.patch(url, 0, body)
    finally:
        district.store.size_lie = 0
    refused(answer, 503, "file-store-unavailable")
    working = TakingUp(district.resources)
    assert await working.work() == 0  # its own request may still be at it
    await _left_by_the_dead(phone, url)
    district.clock.advance(timedelta(seconds=14))
    assert await working.work() == 0
    assert _states(await look(district, WORKER, incident)) == ["verifying"]
    district.clock.advance(timedelta(seconds=31))
    assert await working.work() == 1
    assert _states(await look(district, WORKER, incident)) == ["stored"]
    assert await object_of(phone.served, url) == body
    assert await working.work() == 0


async def _left_by_the_dead(phone: Phone, url: str) -> None:
    """As a process leaves its hold that is killed in mid-verification."""
    now = phone.served.district.clock.now()
    async with phone.served.district.resources.sessions.begin() as session:
        await session.execute(
            update(Upload)
            .where(Upload.id == url.rsplit("/", 1)[1])
            .values(held=True, leased_until=now + timedelta(seconds=15))
        )


async def test_r3_what_report_and_upload_missed_of_each_other_the_worker_sees(
    phone: Phone,
) -> None:
    """Either was killed between its commit and its look for the other."""
    district = phone.served.district
    body = picture_of(30_000)
    file = listed(body)
    url = await _uploaded(phone, body, file["id"])
    media = (await row_of(phone.served, url)).media_id
    receipt = await _report(phone.served, file)
    async with district.resources.sessions.begin() as session:
        await session.execute(
            update(IncidentMedia)
            .where(IncidentMedia.attachment_id == file["id"])
            .values(state="expected", media_id=None)
        )
        await session.execute(
            update(Upload).where(Upload.media_id == media).values(incident_id=None)
        )
    await TakingUp(district.resources).work()
    assert _states(await look(district, WORKER, receipt["id"])) == ["stored"]


async def test_u14_what_no_report_names_in_time_is_forgotten_and_its_name_is_free(
    phone: Phone,
) -> None:
    door = phone.served
    body = picture_of(30_000)
    file = str(new_id())
    url = await _uploaded(phone, body, file)
    door.district.clock.advance(timedelta(days=7, seconds=1))
    await sweep(door.district.resources)
    row = await row_of(door, url)
    assert (row.state, row.refusal) == ("rejected", "upload-expired")
    again = await Phone.of(door)
    assert await _uploaded(again, body, file) != url


async def test_u18_files_without_a_report_count_among_the_open_ones(phone: Phone) -> None:
    async with phone.served.district.resources.sessions.begin() as session:
        await session.execute(
            delete(Upload).where(Upload.incident_id.is_(None), Upload.media_id.is_(None))
        )
    for seed in range(20):
        await _uploaded(phone, photo(seed), str(new_id()))
    refused(await phone.create(10), 429, "too-many-uploads")


async def test_u13_a_watch_outlives_a_lost_database(phone: Phone) -> None:
    """Whoever sends is still told to end for a newcomer, once the database is back."""
    door = phone.served
    body = picture_of(30_000)
    url = await phone.created(len(body))
    async with phone.sending(url, 0, len(body), body[:100]) as wire:
        async with asyncio.timeout(10):
            while not (await row_of(door, url)).held:  # noqa: ASYNC110 - another request's doing
                await asyncio.sleep(0.01)
        async with _broken_connections(door):
            door.district.resources.wakeups.wake_all()
            await asyncio.sleep(0.3)
        assert await phone.offset_soon(url, 100, 5) == 100
        refused(await wire.answer(), 423, "upload-busy")
    await door.district.resources.sessions.engine.dispose()


@asynccontextmanager
async def _broken_connections(door: Served) -> AsyncIterator[None]:
    """Every connection of the pool that is free now is dead for its next user."""
    async with door.district.resources.sessions.begin() as session:
        await session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        yield
