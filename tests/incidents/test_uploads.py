"""U1–U23: resumable uploads as a phone lives them, byte by byte on a loopback socket."""

import asyncio
from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app.core.db import new_id
from app.media.models import Upload
from tests.incidents.listening import Served, chunked
from tests.incidents.paths import OUTSIDER
from tests.incidents.uploading import (
    Phone,
    created_by,
    digest,
    metadata,
    object_of,
    picture_of,
    refused,
    row_of,
)

MIB = 1024 * 1024


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
        refused(
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
        refused(await wire.answer(), 404, "upload-not-found")
    async with phone.sending(url, 0, 101) as wire:
        refused(await wire.answer(), 413, "upload-overflows")


async def test_u4_create(phone: Phone) -> None:
    unclear: tuple[dict[str, Any], ...] = (
        {},
        {"Upload-Length": "-1"},
        {"Upload-Length": "ten"},
        {"Upload-Defer-Length": "2"},
        {"Upload-Defer-Length": "1", "Upload-Length": "3"},
    )
    for headers in unclear:
        refused(await phone.ask("POST", "/v1/uploads", **headers), 400, "upload-length-invalid")
    refused(await phone.create(200 * MIB + 1), 413, "file-too-large")
    for raw in ("filename !!", " ", "a YQ==,a YQ==", "incident_id YQ==", "x " + "A" * 4096):
        answer = await phone.ask("POST", "/v1/uploads", **created_by(raw))
        if raw != " ":
            refused(answer, 400, "upload-metadata-invalid")
    many = ",".join(f"k{n} YQ==" for n in range(33))
    answer = await phone.ask("POST", "/v1/uploads", **created_by(many))
    refused(answer, 400, "upload-metadata-invalid")
    told = metadata(filename="事故.jpg", other="b") + ",empty"
    answer = await phone.ask("POST", "/v1/uploads", **created_by(told))
    assert (answer.status, answer.headers["upload-offset"]) == (201, "0")
    seen = await phone.ask("HEAD", answer.headers["location"])
    assert seen.headers["upload-metadata"] == told
    nothing = await phone.create(0)
    assert (nothing.status, nothing.headers["upload-offset"]) == (201, "0")
    assert (await row_of(phone.served, nothing.headers["location"])).state == "rejected"


async def test_u5_creating_again_finds_the_same_upload(phone: Phone) -> None:
    attachment = str(new_id())
    first, again = [await phone.create(1000, attachment_id=attachment) for _ in range(2)]
    assert (first.status, again.status) == (201, 201)
    url = first.headers["location"]
    assert again.headers["location"] == url
    await phone.patch(url, 0, bytes(300))
    later = await phone.create(1000, attachment_id=attachment)
    assert (later.headers["location"], later.headers["upload-offset"]) == (url, "300")
    refused(await phone.create(999, attachment_id=attachment), 409, "upload-differs")
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
    refused(wrong, 409, "offset-differs")
    assert wrong.headers["upload-offset"] == "2000"
    empty = await phone.patch(url, 2000, b"")
    assert (empty.status, empty.headers["upload-offset"]) == (204, "2000")
    refused(await phone.patch(url, 2000, bytes(1001)), 413, "upload-overflows")
    assert await phone.offset(url) == 2000
    headers = {"Content-Length": None, "Transfer-Encoding": "chunked", **phone.offset_stream(2000)}
    async with phone.served.wire() as wire:
        await wire.send(phone.head(f"PATCH {url}", headers), chunked(bytes(1001), 500))
        refused(await wire.answer(), 413, "upload-overflows")
    assert await phone.offset(url) == 2000
    assert (await phone.patch(url, 2000, body[2000:])).status == 204
    assert await object_of(phone.served, url) == body
    past = await phone.patch(url, 3000, b"x")
    refused(past, 413, "upload-overflows")
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
    assert await object_of(phone.served, url) == body
    other = await phone.created(10)
    refused(await phone.ask("POST", other), 405, "method-not-allowed")
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
    assert await object_of(phone.served, url) == body


async def test_u9_many_cuts_and_small_pieces(phone: Phone) -> None:
    body = picture_of(6 * MIB)
    url = await phone.created(len(body), sha256=digest(body))
    offset = 0
    for size in [7, 100_000] * 18:
        await phone.cut_after(url, offset, body[offset : offset + size], len(body) - offset)
        offset += size
        assert await phone.offset_soon(url, offset) == offset
    assert len((await row_of(phone.served, url)).tail) <= 33
    assert (await phone.patch(url, offset, body[offset:])).status == 204
    assert await object_of(phone.served, url) == body
    key = (await row_of(phone.served, url)).object_key
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
        refused(await silent.answer(), 423, "upload-busy")
    assert await object_of(phone.served, url) == body


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
    assert await object_of(phone.served, url) == body


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
    refused(answer, 423, "upload-busy")
    assert answer.headers["retry-after"]
    assert 9 < asyncio.get_running_loop().time() - began < 12
