"""U12–U20: what an upload is worth when it is whole, over, refused or in nobody's hands."""

import asyncio
from base64 import b64encode
from datetime import timedelta
from hashlib import sha1, sha256
from typing import Any

import pytest
from sqlalchemy import select, update

from app.accounts.models import LoginSession
from app.accounts.recognition import CallerCache
from app.media.models import Upload
from app.media.sweeping import sweep
from tests.incidents.paths import OUTSIDER, WORKER, look, photo, signed_in
from tests.incidents.uploading import (
    Phone,
    digest,
    object_of,
    picture_of,
    refused,
    reported,
    row_of,
)

MIB = 1024 * 1024


async def test_u12_checksum(phone: Phone) -> None:
    body = picture_of(2000)
    url = await phone.created(2000)

    def told(name: str, raw: bytes) -> dict[str, Any]:
        return {"Upload-Checksum": f"{name} {b64encode(raw).decode()}"}

    refused(await phone.patch(url, 0, body, **told("sha1", bytes(20))), 460, "checksum-mismatch")
    refused(await phone.patch(url, 0, body, **told("md5", bytes(16))), 400, "checksum-unusable")
    refused(await phone.patch(url, 0, body, **told("sha1", b"short")), 400, "checksum-unusable")
    assert await phone.offset(url) == 0
    first = body[:700]
    good = await phone.patch(
        url, 0, first, **told("sha1", sha1(first, usedforsecurity=False).digest())
    )
    assert (good.status, good.headers["upload-offset"]) == (204, "700")
    rest = body[700:]
    assert (
        await phone.patch(url, 700, rest, **told("sha256", sha256(rest).digest()))
    ).status == 204
    assert await object_of(phone.served, url) == body
    big = await phone.created(9 * MIB)
    answer = await phone.patch(big, 0, bytes(8 * MIB + 1), **told("sha1", bytes(20)))
    refused(answer, 413, "checksummed-too-large")
    assert await phone.offset(big) == 0


async def test_u13_the_digest_of_the_whole_file_is_verified(phone: Phone) -> None:
    body = picture_of(5000)
    before = set(phone.served.district.store.objects)
    url = await phone.created(5000, sha256=digest(b"other"))
    refused(await phone.patch(url, 0, body), 400, "digest-mismatch")
    assert (await row_of(phone.served, url)).state == "rejected"
    assert set(phone.served.district.store.objects) == before
    assert await phone.offset(url) == 5000


async def test_u13_several_requests_make_one_digest(phone: Phone) -> None:
    body = picture_of(9 * MIB)
    incident, file = await reported(phone.served, body)
    url = await phone.created(len(body), incident_id=incident, attachment_id=file)
    for start in range(0, len(body), 2 * MIB):
        assert (await phone.patch(url, start, body[start : start + 2 * MIB])).status == 204
    shown = await look(phone.served.district, WORKER, incident)
    assert [(item["state"], item["sha256"]) for item in shown["attachments"]] == [
        ("stored", digest(body))
    ]
    assert shown["complete"]
    client = await signed_in(phone.served.district, WORKER)
    assert (await client.get(shown["attachments"][0]["url"])).content == body


async def test_u13_m12_other_content_is_rejected_with_its_code(phone: Phone) -> None:
    page = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    incident, file = await reported(phone.served, page)
    url = await phone.created(len(page), incident_id=incident, attachment_id=file)
    refused(await phone.patch(url, 0, page), 415, "media-type-refused")
    assert await phone.offset(url) == len(page)
    shown = await look(phone.served.district, WORKER, incident)
    assert shown["attachments"][0]["state"] == "rejected"


async def test_u14_expiration(phone: Phone) -> None:
    district = phone.served.district
    url = await phone.created(6 * MIB)
    answer = await phone.patch(url, 0, picture_of(5 * MIB + 5))
    assert answer.headers["upload-expires"].endswith("GMT")
    district.clock.advance(timedelta(days=6))
    phone = await Phone.of(phone.served)
    await phone.patch(url, 5 * MIB + 5, bytes(10))
    district.clock.advance(timedelta(days=6))
    await sweep(district.resources)
    phone = await Phone.of(phone.served)
    assert await phone.offset(url) == 5 * MIB + 15
    row = await row_of(phone.served, url)
    assert row.parts_id in district.store.uploads
    district.clock.advance(timedelta(days=1, seconds=1))
    phone = await Phone.of(phone.served)
    expired = await phone.ask("HEAD", url)
    assert (expired.status, "upload-offset" in expired.headers) == (410, False)
    refused(await phone.patch(url, 5 * MIB + 15, b"x"), 410, "upload-expired")
    await sweep(district.resources)
    assert row.parts_id not in district.store.uploads
    assert not [key for key in district.store.objects if key.startswith(row.object_key)]
    assert (await phone.ask("HEAD", url)).status == 410


async def test_u14_m11_the_sweeper_spares_what_uploads_still_need(phone: Phone) -> None:
    district = phone.served.district
    body = picture_of(200_000)
    url = await phone.created(len(body))
    await phone.patch(url, 0, body[:100_000])
    district.clock.advance(timedelta(days=2))
    await sweep(district.resources)
    phone = await Phone.of(phone.served)
    assert (await phone.patch(url, 100_000, body[100_000:])).status == 204
    assert await object_of(phone.served, url) == body


async def test_u15_termination(phone: Phone) -> None:
    district = phone.served.district
    body = picture_of(6 * MIB)
    url = await phone.created(len(body))
    await phone.patch(url, 0, body[: 5 * MIB + 1])
    row = await row_of(phone.served, url)
    assert (await phone.ask("DELETE", url)).status == 204
    assert row.parts_id not in district.store.uploads
    refused(await phone.patch(url, 0, b""), 404, "upload-not-found")
    incident, file = await reported(phone.served, photo())
    url = await phone.created(len(photo()), incident_id=incident, attachment_id=file)
    await phone.patch(url, 0, photo())
    refused(await phone.ask("DELETE", url), 409, "upload-attached")


async def test_u17_the_tail_outlives_a_part_that_fails(phone: Phone) -> None:
    store = phone.served.district.store
    body = picture_of(7 * MIB)
    url = await phone.created(len(body), sha256=digest(body))
    await phone.patch(url, 0, body[:MIB])
    store.down = True
    try:
        answer = await phone.patch(url, MIB, body[MIB:])
    finally:
        store.down = False
    refused(answer, 503, "file-store-unavailable")
    assert (answer.headers["upload-offset"], answer.headers["retry-after"]) == (str(MIB), "5")
    assert await phone.offset(url) == MIB
    assert (await phone.patch(url, MIB, body[MIB:])).status == 204
    assert await object_of(phone.served, url) == body


@pytest.mark.parametrize("every", [3, 4, 5, 7])
async def test_u17_f8_a_store_that_refuses_each_kth_call_loses_nothing_acknowledged(
    phone: Phone, every: int
) -> None:
    store = phone.served.district.store
    body = picture_of(11 * MIB)
    incident, file = await reported(phone.served, body)
    url = await phone.created(len(body), incident_id=incident, attachment_id=file)
    store.fail_every, known = every, 0
    try:
        for _ in range(60):
            answer = await phone.patch(url, known, body[known : known + 3 * MIB])
            offset = await phone.offset(url)
            assert offset >= known
            assert answer.status in {204, 503}, answer
            known = offset
            if (await row_of(phone.served, url)).state == "stored":
                break
    finally:
        store.fail_every = 0
    assert await phone.offset(url) == len(body)
    assert await object_of(phone.served, url) == body
    shown = await look(phone.served.district, WORKER, incident)
    assert shown["attachments"][0]["state"] == "stored"


async def test_u19_rights_are_read_anew_when_the_last_byte_has_come(phone: Phone) -> None:
    district = phone.served.district
    incident, file = await reported(phone.served, photo())
    url = await phone.created(len(photo()), incident_id=incident, attachment_id=file)
    async with phone.sending(url, 0, len(photo()), photo()[:10]) as wire:
        await asyncio.sleep(0.1)
        async with district.resources.sessions.begin() as session:
            await session.execute(update(LoginSession).values(revoked_at=district.clock.now()))
        await wire.send(photo()[10:])
        answer = await wire.answer()
    assert answer.status == 401, answer
    assert (await row_of(phone.served, url)).state == "verifying"
    district.resources.the(CallerCache).clear()
    district.app.state._state.pop("signed_in")  # noqa: SLF001 - as `signed_in` keeps it
    again = await Phone.of(phone.served)
    assert await again.offset(url) == len(photo())
    assert (await row_of(phone.served, url)).state == "stored"


async def test_u20_an_upload_is_its_creators_alone(phone: Phone) -> None:
    url = await phone.created(10)
    assert len(url.rsplit("/", 1)[1]) >= 22
    other = await Phone.of(phone.served, OUTSIDER)
    refused(await other.patch(url, 0, b"x"), 404, "upload-not-found")
    assert (await other.ask("HEAD", url)).status == 404
    assert (await other.ask("DELETE", url)).status == 404
    assert await phone.offset(url) == 0
    incident, file = await reported(phone.served, photo())
    denied = await other.create(len(photo()), incident_id=incident, attachment_id=file)
    refused(denied, 404, "incident-not-found")


async def test_creation_with_upload_and_a_deferred_length(phone: Phone) -> None:
    body = picture_of(400_000)
    answer = await phone.create(len(body), body[:100_000])
    assert (answer.status, answer.headers["upload-offset"]) == (201, "100000")
    url = answer.headers["location"]
    assert (await phone.patch(url, 100_000, body[100_000:])).status == 204
    assert await object_of(phone.served, url) == body
    url = await phone.created(None)
    assert (await phone.patch(url, 0, body[:300_000])).status == 204
    last = await phone.patch(url, 300_000, body[300_000:], **{"Upload-Length": len(body)})
    assert last.status == 204
    assert await object_of(phone.served, url) == body
    async with phone.served.district.resources.sessions.read() as session:
        row = await session.scalar(select(Upload).where(Upload.id == url.rsplit("/", 1)[1]))
    assert row is not None
    assert row.media_id is not None
