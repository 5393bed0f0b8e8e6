"""U1–U23: resumable uploads as a phone lives them, byte by byte on a loopback socket."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha1, sha256
from typing import Any

import pytest
from sqlalchemy import select, update

from app.accounts.models import LoginSession
from app.accounts.recognition import CallerCache
from app.core.db import new_id
from app.media.models import Upload
from app.media.sweeping import sweep
from tests.district import District
from tests.incidents.listening import Answer, Served, chunked, served
from tests.incidents.paths import OUTSIDER, WORKER, listed, look, photo, signed_in
from tests.incidents.uploading import Phone, digest, metadata, picture_of

MIB = 1024 * 1024


@pytest.fixture(scope="module")
async def door(shared_district: District) -> AsyncIterator[Served]:
    async with served(shared_district) as door:
        yield door


@pytest.fixture
async def phone(door: Served) -> AsyncIterator[Phone]:
    yield await Phone.of(door)
    async with door.district.resources.sessions.begin() as session:
        # what a test leaves open must not count against the next one
        await session.execute(update(Upload).values(device="nobody"))


async def _row(door: Served, url: str) -> Upload:
    async with door.district.resources.sessions.read() as session:
        return await session.get_one(Upload, url.rsplit("/", 1)[1])


def _refused(answer: Answer, status: int, code: str) -> None:
    assert answer.told == (status, code), answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["tus-resumable"] == "1.0.0"


async def _object(door: Served, url: str) -> bytes:
    return door.district.store.objects[(await _row(door, url)).object_key].body


async def _reported(door: Served, body: bytes, **changes: object) -> tuple[str, str]:
    file = listed(body, **changes)
    return (await door.district.report(attachments=[file]))["id"], file["id"]


def _told(raw: str) -> dict[str, Any]:
    return {"Upload-Length": 5, "Upload-Metadata": raw}


async def test_u1_options_tells_what_is_spoken_without_signing_in(door: Served) -> None:
    for path in ("/v1/uploads", "/v1/uploads/any"):
        answer = await door.ask(
            f"OPTIONS {path} HTTP/1.1\r\nHost: etong.test\r\nTus-Resumable: 9.9.9\r\n\r\n".encode()
        )
        assert answer.status == 204
        told = {k: v for k, v in answer.headers.items() if k.startswith("tus-")}
        assert told == {
            "tus-resumable": "1.0.0",
            "tus-version": "1.0.0",
            "tus-max-size": str(200 * MIB),
            "tus-checksum-algorithm": "sha1,sha256",
            "tus-extension": "creation,creation-with-upload,creation-defer-length,expiration,"
            "checksum,termination",
        }


async def test_u2_every_other_answer_names_the_version(phone: Phone) -> None:
    url = await phone.created(10)
    answers = [
        await phone.ask("HEAD", url, Authorization=None),
        await phone.ask("HEAD", "/v1/uploads/none"),
        await phone.ask("PUT", url),
        await phone.ask("GET", url),
        await phone.patch(url, 5, b"x"),
        await phone.patch(url, 0, b"x", **{"Content-Type": "text/plain"}),
        await phone.create(1 << 40),
        await phone.patch(
            url, 0, b"x", **{"Upload-Checksum": "sha1 " + b64encode(bytes(20)).decode()}
        ),
        await phone.ask("GET", "/v1/uploads"),
        await phone.ask("GET", "/v1/uploads/a/b"),
    ]
    assert [answer.status for answer in answers] == [
        401,
        404,
        405,
        405,
        409,
        415,
        413,
        460,
        405,
        404,
    ]
    assert {answer.headers.get("tus-resumable") for answer in answers} == {"1.0.0"}
    for version in (None, "0.2.2"):
        answer = await phone.ask("HEAD", url, Tus_Resumable=version)
        assert (answer.status, answer.headers["tus-version"]) == (412, "1.0.0")
        _refused(
            await phone.patch(url, 0, b"x", **{"Tus-Resumable": version}),
            412,
            "tus-version-unsupported",
        )


async def test_u3_what_is_wrong_is_told_before_the_first_byte_is_read(phone: Phone) -> None:
    url = await phone.created(100)
    wrong: list[tuple[dict[str, Any], int]] = [
        ({"Authorization": "Bearer wrong", "Tus-Resumable": "0"}, 401),
        ({"Tus-Resumable": "0", "Content-Type": "text/plain"}, 412),
        ({"Content-Type": "text/plain", "Upload-Offset": 7}, 415),
        ({"Upload-Offset": 7}, 409),
        ({"Upload-Offset": None}, 400),
        ({"Upload-Offset": "-1"}, 400),
    ]
    for headers, status in wrong:
        told = {**phone.offset_stream(0), "Content-Length": 50, **headers}
        async with phone.served.wire() as wire:
            # only the head is sent: an answer can't have waited for the body
            await wire.send(phone.head(f"PATCH {url}", told))
            assert (await wire.answer()).status == status
        assert await phone.offset(url) == 0
    async with phone.sending("/v1/uploads/none", 9, 50) as wire:
        _refused(await wire.answer(), 404, "upload-not-found")
    async with phone.sending(url, 0, 101) as wire:
        _refused(await wire.answer(), 413, "upload-overflows")


async def test_u4_create(phone: Phone) -> None:
    unclear: tuple[dict[str, Any], ...] = (
        {},
        {"Upload-Length": "-1"},
        {"Upload-Length": "ten"},
        {"Upload-Defer-Length": "2"},
        {"Upload-Defer-Length": "1", "Upload-Length": "3"},
    )
    for headers in unclear:
        _refused(await phone.ask("POST", "/v1/uploads", **headers), 400, "upload-length-invalid")
    _refused(await phone.create(200 * MIB + 1), 413, "file-too-large")
    for raw in ("filename !!", " ", "a YQ==,a YQ==", "incident_id YQ==", "x " + "A" * 4096):
        answer = await phone.ask("POST", "/v1/uploads", **_told(raw))
        if raw != " ":
            _refused(answer, 400, "upload-metadata-invalid")
    many = ",".join(f"k{n} YQ==" for n in range(33))
    answer = await phone.ask("POST", "/v1/uploads", **_told(many))
    _refused(answer, 400, "upload-metadata-invalid")
    told = metadata(filename="事故.jpg", other="b") + ",empty"
    answer = await phone.ask("POST", "/v1/uploads", **_told(told))
    assert (answer.status, answer.headers["upload-offset"]) == (201, "0")
    seen = await phone.ask("HEAD", answer.headers["location"])
    assert seen.headers["upload-metadata"] == told
    nothing = await phone.create(0)
    assert (nothing.status, nothing.headers["upload-offset"]) == (201, "0")
    assert (await _row(phone.served, nothing.headers["location"])).state == "rejected"


async def test_u5_creating_again_finds_the_same_upload(phone: Phone) -> None:
    attachment = str(new_id())
    first, again = [await phone.create(1000, attachment_id=attachment) for _ in range(2)]
    assert (first.status, again.status) == (201, 201)
    url = first.headers["location"]
    assert again.headers["location"] == url
    await phone.patch(url, 0, bytes(300))
    later = await phone.create(1000, attachment_id=attachment)
    assert (later.headers["location"], later.headers["upload-offset"]) == (url, "300")
    _refused(await phone.create(999, attachment_id=attachment), 409, "upload-differs")
    other = await Phone.of(phone.served, OUTSIDER)
    theirs = await other.create(1000, attachment_id=attachment)
    assert theirs.headers["location"] != url
    at_once = str(new_id())
    answers = await asyncio.gather(*(phone.create(9, attachment_id=at_once) for _ in range(8)))
    assert len({answer.headers["location"] for answer in answers}) == 1


async def test_u6_head(phone: Phone) -> None:
    body = picture_of(900)
    url = await phone.created(900)
    seen = await phone.ask("HEAD", url)
    assert seen.status == 204
    assert seen.headers["cache-control"] == "no-store"
    assert (seen.headers["upload-offset"], seen.headers["upload-length"]) == ("0", "900")
    assert "content-length" not in seen.headers
    assert (await phone.patch(url, 0, body)).status == 204
    phone.served.district.clock.advance(timedelta(hours=24))
    phone = await Phone.of(phone.served)
    assert await phone.offset(url) == 900
    deferred = await phone.ask("HEAD", await phone.created(None))
    assert deferred.headers["upload-defer-length"] == "1"
    assert "upload-length" not in deferred.headers
    unknown = await phone.ask("HEAD", "/v1/uploads/unknown")
    assert (unknown.status, "upload-offset" in unknown.headers) == (404, False)


async def test_u7_patch(phone: Phone) -> None:
    body = picture_of(3000)
    url = await phone.created(3000)
    for start in (0, 1000):
        answer = await phone.patch(url, start, body[start : start + 1000])
        assert (answer.status, answer.headers["upload-offset"]) == (204, str(start + 1000))
    wrong = await phone.patch(url, 1000, body[1000:])
    _refused(wrong, 409, "offset-differs")
    assert wrong.headers["upload-offset"] == "2000"
    empty = await phone.patch(url, 2000, b"")
    assert (empty.status, empty.headers["upload-offset"]) == (204, "2000")
    _refused(await phone.patch(url, 2000, bytes(1001)), 413, "upload-overflows")
    assert await phone.offset(url) == 2000
    headers = {"Content-Length": None, "Transfer-Encoding": "chunked", **phone.offset_stream(2000)}
    async with phone.served.wire() as wire:
        await wire.send(phone.head(f"PATCH {url}", headers), chunked(bytes(1001), 500))
        _refused(await wire.answer(), 413, "upload-overflows")
    assert await phone.offset(url) == 2000
    assert (await phone.patch(url, 2000, body[2000:])).status == 204
    assert await _object(phone.served, url) == body
    past = await phone.patch(url, 3000, b"x")
    _refused(past, 413, "upload-overflows")
    assert (await phone.patch(url, 3000, b"")).status == 204


async def test_u8_post_with_an_override_chunked(phone: Phone) -> None:
    body = picture_of(200_000)
    url = await phone.created(len(body))
    headers = {
        "X-HTTP-Method-Override": "PATCH",
        "Transfer-Encoding": "chunked",
        **phone.offset_stream(0),
    }
    async with phone.served.wire() as wire:
        await wire.send(phone.head(f"POST {url}", headers), chunked(body))
        assert (await wire.answer()).status == 204
    assert await _object(phone.served, url) == body
    other = await phone.created(10)
    _refused(await phone.ask("POST", other), 405, "method-not-allowed")
    gone = await phone.ask("POST", other, X_HTTP_Method_Override="DELETE")
    assert gone.status == 204
    assert (await phone.ask("HEAD", other)).status == 404


CUTS = (
    (1, 2_000_000),
    (700_000, 2_000_000),
    (65_536, 2_000_000),
    (5 * MIB - 1, 12 * MIB),
    (5 * MIB, 12 * MIB),
    (5 * MIB + 1, 12 * MIB),
    (10 * MIB, 12 * MIB),
)


@pytest.mark.parametrize(("cut", "length"), CUTS)
async def test_u9_f4_abort_keeps_exact_offset(phone: Phone, cut: int, length: int) -> None:
    body = picture_of(length)
    url = await phone.created(length, sha256=digest(body))
    await phone.cut_after(url, 0, body[:cut], length)
    assert await phone.offset_soon(url, cut) == cut
    answer = await phone.patch(url, cut, body[cut:])
    assert answer.status == 204, answer
    assert await _object(phone.served, url) == body


async def test_u9_many_cuts_and_small_pieces(phone: Phone) -> None:
    body = picture_of(6 * MIB)
    url = await phone.created(len(body), sha256=digest(body))
    offset = 0
    for size in [7, 100_000] * 18:
        await phone.cut_after(url, offset, body[offset : offset + size], len(body) - offset)
        offset += size
        assert await phone.offset_soon(url, offset) == offset
    assert len((await _row(phone.served, url)).tail) <= 33
    assert (await phone.patch(url, offset, body[offset:])).status == 204
    assert await _object(phone.served, url) == body
    key = (await _row(phone.served, url)).object_key
    assert [each for each in phone.served.district.store.objects if each.startswith(key)] == [key]


async def test_u10_f5_a_newcomer_takes_over_from_a_half_dead_link(phone: Phone) -> None:
    body = picture_of(300_000)
    url = await phone.created(len(body))
    began = asyncio.get_running_loop().time()
    async with phone.sending(url, 0, len(body), body[:100_000]) as silent:
        await asyncio.sleep(0.2)
        assert await phone.offset(url) == 100_000
        assert (await phone.patch(url, 100_000, body[100_000:])).status == 204
        assert asyncio.get_running_loop().time() - began < 5
        _refused(await silent.answer(), 423, "upload-busy")
    assert await _object(phone.served, url) == body


async def test_u10_who_does_not_hear_is_gone_round_and_fenced(phone: Phone) -> None:
    """The hint is lost: the newcomer waits its time, then nothing of the old one counts."""
    wakeups = phone.served.district.wakeups
    body = picture_of(300_000)
    url = await phone.created(len(body))
    wakeups.dropping = True
    try:
        async with phone.sending(url, 0, len(body), body[:100_000]) as silent:
            await asyncio.sleep(0.2)
            began = asyncio.get_running_loop().time()
            assert await phone.offset(url) == 0
            assert (await phone.patch(url, 0, body[:200_000])).status == 204
            assert asyncio.get_running_loop().time() - began < 5
            await silent.send(bytes(200_000))
            assert (await silent.answer()).status == 423
            assert await phone.offset(url) == 200_000
    finally:
        wakeups.dropping = False
    assert (await phone.patch(url, 200_000, body[200_000:])).status == 204
    assert await _object(phone.served, url) == body


async def test_u10_while_a_file_is_verified_others_wait_and_are_told_so(phone: Phone) -> None:
    url = await phone.created(1000)
    now = phone.served.district.clock.now()
    async with phone.served.district.resources.sessions.begin() as session:
        await session.execute(
            update(Upload)
            .where(Upload.id == url.rsplit("/", 1)[1])
            .values(held=True, fence=3, leased_until=now + timedelta(seconds=15))
        )
    began = asyncio.get_running_loop().time()
    answer = await phone.patch(url, 0, b"x")
    _refused(answer, 423, "upload-busy")
    assert answer.headers["retry-after"]
    assert 9 < asyncio.get_running_loop().time() - began < 12


async def test_u12_checksum(phone: Phone) -> None:
    body = picture_of(2000)
    url = await phone.created(2000)

    def told(name: str, raw: bytes) -> dict[str, Any]:
        return {"Upload-Checksum": f"{name} {b64encode(raw).decode()}"}

    _refused(await phone.patch(url, 0, body, **told("sha1", bytes(20))), 460, "checksum-mismatch")
    _refused(await phone.patch(url, 0, body, **told("md5", bytes(16))), 400, "checksum-unusable")
    _refused(await phone.patch(url, 0, body, **told("sha1", b"short")), 400, "checksum-unusable")
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
    assert await _object(phone.served, url) == body
    big = await phone.created(9 * MIB)
    answer = await phone.patch(big, 0, bytes(8 * MIB + 1), **told("sha1", bytes(20)))
    _refused(answer, 413, "checksummed-too-large")
    assert await phone.offset(big) == 0


async def test_u13_the_digest_of_the_whole_file_is_verified(phone: Phone) -> None:
    body = picture_of(5000)
    before = set(phone.served.district.store.objects)
    url = await phone.created(5000, sha256=digest(b"other"))
    _refused(await phone.patch(url, 0, body), 400, "digest-mismatch")
    assert (await _row(phone.served, url)).state == "rejected"
    assert set(phone.served.district.store.objects) == before
    assert await phone.offset(url) == 5000


async def test_u13_several_requests_make_one_digest(phone: Phone) -> None:
    body = picture_of(9 * MIB)
    incident, file = await _reported(phone.served, body)
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
    incident, file = await _reported(phone.served, page)
    url = await phone.created(len(page), incident_id=incident, attachment_id=file)
    _refused(await phone.patch(url, 0, page), 415, "media-type-refused")
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
    row = await _row(phone.served, url)
    assert row.parts_id in district.store.uploads
    district.clock.advance(timedelta(days=1, seconds=1))
    phone = await Phone.of(phone.served)
    expired = await phone.ask("HEAD", url)
    assert (expired.status, "upload-offset" in expired.headers) == (410, False)
    _refused(await phone.patch(url, 5 * MIB + 15, b"x"), 410, "upload-expired")
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
    assert await _object(phone.served, url) == body


async def test_u15_termination(phone: Phone) -> None:
    district = phone.served.district
    body = picture_of(6 * MIB)
    url = await phone.created(len(body))
    await phone.patch(url, 0, body[: 5 * MIB + 1])
    row = await _row(phone.served, url)
    assert (await phone.ask("DELETE", url)).status == 204
    assert row.parts_id not in district.store.uploads
    _refused(await phone.patch(url, 0, b""), 404, "upload-not-found")
    incident, file = await _reported(phone.served, photo())
    url = await phone.created(len(photo()), incident_id=incident, attachment_id=file)
    await phone.patch(url, 0, photo())
    _refused(await phone.ask("DELETE", url), 409, "upload-attached")


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
    _refused(answer, 503, "file-store-unavailable")
    assert (answer.headers["upload-offset"], answer.headers["retry-after"]) == (str(MIB), "5")
    assert await phone.offset(url) == MIB
    assert (await phone.patch(url, MIB, body[MIB:])).status == 204
    assert await _object(phone.served, url) == body


@pytest.mark.parametrize("every", [3, 4, 5, 7])
async def test_u17_f8_a_store_that_refuses_each_kth_call_loses_nothing_acknowledged(
    phone: Phone, every: int
) -> None:
    store = phone.served.district.store
    body = picture_of(11 * MIB)
    incident, file = await _reported(phone.served, body)
    url = await phone.created(len(body), incident_id=incident, attachment_id=file)
    store.fail_every, known = every, 0
    try:
        for _ in range(60):
            answer = await phone.patch(url, known, body[known : known + 3 * MIB])
            offset = await phone.offset(url)
            assert offset >= known
            assert answer.status in {204, 503}, answer
            known = offset
            if (await _row(phone.served, url)).state == "stored":
                break
    finally:
        store.fail_every = 0
    assert await phone.offset(url) == len(body)
    assert await _object(phone.served, url) == body
    shown = await look(phone.served.district, WORKER, incident)
    assert shown["attachments"][0]["state"] == "stored"


async def test_u18_f6_only_so_many_are_open_on_one_device(phone: Phone) -> None:
    for _ in range(20):
        await phone.created(10)
    answer = await phone.create(10)
    _refused(answer, 429, "too-many-uploads")
    assert answer.headers["retry-after"]


async def test_u19_rights_are_read_anew_when_the_last_byte_has_come(phone: Phone) -> None:
    district = phone.served.district
    incident, file = await _reported(phone.served, photo())
    url = await phone.created(len(photo()), incident_id=incident, attachment_id=file)
    async with phone.sending(url, 0, len(photo()), photo()[:10]) as wire:
        await asyncio.sleep(0.1)
        async with district.resources.sessions.begin() as session:
            await session.execute(update(LoginSession).values(revoked_at=district.clock.now()))
        await wire.send(photo()[10:])
        answer = await wire.answer()
    assert answer.status == 401, answer
    assert (await _row(phone.served, url)).state == "verifying"
    district.resources.the(CallerCache).clear()
    district.app.state._state.pop("signed_in")  # noqa: SLF001 - as `signed_in` keeps it
    again = await Phone.of(phone.served)
    assert await again.offset(url) == len(photo())
    assert (await _row(phone.served, url)).state == "stored"


async def test_u20_an_upload_is_its_creators_alone(phone: Phone) -> None:
    url = await phone.created(10)
    assert len(url.rsplit("/", 1)[1]) >= 22
    other = await Phone.of(phone.served, OUTSIDER)
    _refused(await other.patch(url, 0, b"x"), 404, "upload-not-found")
    assert (await other.ask("HEAD", url)).status == 404
    assert (await other.ask("DELETE", url)).status == 404
    assert await phone.offset(url) == 0
    incident, file = await _reported(phone.served, photo())
    refused = await other.create(len(photo()), incident_id=incident, attachment_id=file)
    _refused(refused, 404, "incident-not-found")


async def test_creation_with_upload_and_a_deferred_length(phone: Phone) -> None:
    body = picture_of(400_000)
    answer = await phone.create(len(body), body[:100_000])
    assert (answer.status, answer.headers["upload-offset"]) == (201, "100000")
    url = answer.headers["location"]
    assert (await phone.patch(url, 100_000, body[100_000:])).status == 204
    assert await _object(phone.served, url) == body
    url = await phone.created(None)
    assert (await phone.patch(url, 0, body[:300_000])).status == 204
    last = await phone.patch(url, 300_000, body[300_000:], **{"Upload-Length": len(body)})
    assert last.status == 204
    assert await _object(phone.served, url) == body
    async with phone.served.district.resources.sessions.read() as session:
        row = await session.scalar(select(Upload).where(Upload.id == url.rsplit("/", 1)[1]))
    assert row is not None
    assert row.media_id is not None
