"""Bodies that are wrong, or odd but legal, on a real socket: refused or read as M1-M15 say.

Whatever is refused leaves nothing behind: no row, no object, no unfinished multipart upload.
"""

import asyncio
import gzip
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson
import pytest

from app.core.resources import Resources
from app.core.settings import MIB, IntakeSettings
from app.main import create_app
from tests.district import District, new_incident
from tests.incidents.listening import Answer, Served, chunked, head, served
from tests.incidents.paths import OUTSIDER, WORKER, listed, photo
from tests.incidents.remains import Remains, only, remains
from tests.media.wire import BOUNDARY, CONTENT_TYPE, body_of, part

LIMITS = IntakeSettings(
    request_bytes=12 * MIB, video_bytes=11 * MIB, picture_bytes=6 * MIB, part_bytes=5 * MIB
)
"""Small enough to be exceeded here; a picture of 5 MiB is on its way into the store already."""
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
PNG = photo()
Json = dict[str, Any]


@pytest.fixture(scope="module")
async def here(shared_district: District) -> AsyncIterator[Served]:
    given = shared_district.resources
    settings = given.settings.model_copy(update={"intake": LIMITS})
    resources = Resources(settings, given.sessions, given.store, given.wakeups, given.clock)
    district = replace(shared_district, resources=resources, app=create_app(resources), _clients={})
    async with served(district) as here:
        yield here


@pytest.fixture
async def before(here: Served) -> Remains:
    return await remains(here.district)


def meta_part(meta: Json, *headers: str) -> bytes:
    return part('name="meta"', orjson.dumps(meta), "Content-Type: application/json", *headers)


def file_part(name: str, body: bytes, *headers: str) -> bytes:
    return part(f'name="{name}"; filename="a.jpg"', body, "Content-Type: image/jpeg", *headers)


def reported(body: bytes = PNG, **changes: Any) -> tuple[Json, str]:
    """Meta with one file in its manifest, and the file's id."""
    file = listed(body, **changes)
    return new_incident(attachments=[file]), file["id"]


def whole(body: bytes = PNG, **changes: Any) -> bytes:
    """A valid report with one file."""
    meta, file = reported(body, **changes)
    return body_of(meta_part(meta), file_part(file, body))


async def post(here: Served, body: bytes, **headers: str) -> Answer:
    """Sent as the reporter, with a true Content-Length unless the headers say otherwise."""
    given = {
        "authorization": await here.bearer(),
        "content_type": CONTENT_TYPE,
        **({} if "transfer_encoding" in headers else {"content_length": str(len(body))}),
        **headers,
    }
    return await here.ask(head("POST /v1/incidents", **given), body)


# --- refused before the body arrives ------------------------------------------------------------

_LATER = {"content_type": CONTENT_TYPE, "content_length": "1000"}
_EARLY: dict[str, tuple[str, dict[str, str], int, str]] = {
    "nobody": ("", {}, 401, "unauthenticated"),
    "an unknown token": ("", {"authorization": "Bearer x"}, 401, "token-invalid"),
    "another role": ("police-liuhu", {}, 403, "forbidden"),
    "no multipart": (WORKER, {"content_type": "text/plain"}, 415, "unsupported-media-type"),
    "compressed multipart": (WORKER, {"content_encoding": "gzip"}, 415, "content-encoding-refused"),
    "no boundary": (WORKER, {"content_type": "multipart/form-data"}, 400, "boundary-missing"),
    "too long a boundary": (
        WORKER,
        {"content_type": f"multipart/form-data; boundary={'b' * 71}"},
        400,
        "boundary-too-long",
    ),
    "too large": (
        WORKER,
        {"content_length": str(LIMITS.request_bytes + 1)},
        413,
        "payload-too-large",
    ),
    "too large for JSON": (
        WORKER,
        {"content_type": "application/json", "content_length": str(LIMITS.json_bytes + 1)},
        413,
        "payload-too-large",
    ),
    "a malformed digest": (WORKER, {"content_digest": "sha-256=:x:"}, 400, "digest-malformed"),
}


@pytest.mark.parametrize("case", _EARLY)
async def test_m1_what_the_headers_show_is_refused_before_the_body(
    here: Served, before: Remains, case: str
) -> None:
    """Only headers have been sent when the answer comes."""
    who, headers, status, code = _EARLY[case]
    login = {"authorization": await here.bearer(who)} if who else {}
    answer = await here.ask(head("POST /v1/incidents", **(_LATER | login | headers)))
    assert answer.told == (status, code)
    assert await only(here.district, before)


@pytest.mark.parametrize("target", ["PUT {}/attachments/{}", "POST {}/supplements"])
async def test_m1_somebody_elses_incident_is_none_before_the_body(
    here: Served, target: str
) -> None:
    incident = (await here.district.report())["id"]
    before = await remains(here.district)
    first = target.format(f"/v1/incidents/{incident}", uuid4())
    for login, told in (
        ({"authorization": await here.bearer(OUTSIDER)}, (404, "incident-not-found")),
        ({}, (401, "unauthenticated")),
    ):
        answer = await here.ask(head(first, **_LATER, **login))
        assert answer.told == told
    assert await only(here.district, before)


async def test_m1_h8_whoever_asks_too_often_is_told_before_the_body(
    here: Served, before: Remains
) -> None:
    given = here.district.resources
    settings = given.settings.model_copy(update={"rate_burst": 1, "rate_per_s": 0.001})
    resources = Resources(settings, given.sessions, given.store, given.wakeups, given.clock)
    strict = replace(here.district, resources=resources, app=create_app(resources))
    login = {"authorization": await here.bearer()}
    async with served(strict) as there:
        await there.ask(head("GET /v1/me", **login))
        answer = await there.ask(head("POST /v1/incidents", **_LATER, **login))
    assert answer.told == (429, "too-many-requests")
    assert int(answer.headers["retry-after"]) > 0
    assert await only(here.district, before)


# --- cut short, or longer than said -------------------------------------------------------------

BIG = PNG + bytes(5 * MIB + 4096)
"""Its first part is in the store before its end is here."""


@pytest.mark.parametrize("form", ["length", "chunked"])
@pytest.mark.parametrize("left", [3, 40, 4000, 2 * MIB])
async def test_m4_a_body_without_its_closing_boundary_leaves_nothing(
    here: Served, before: Remains, form: str, left: int
) -> None:
    cut = whole(BIG)[:-left]
    if form == "length":
        answer = await post(here, cut)
    else:
        answer = await post(here, chunked(cut, 65536), transfer_encoding="chunked")
    assert answer.told == (400, "multipart-truncated")
    assert await only(here.district, before)


@pytest.mark.parametrize("cut", [100, 2000, 5 * MIB + 1000])
async def test_m4_f4_f7_a_sender_that_dies_in_mid_body_leaves_nothing(
    here: Served, before: Remains, cut: int
) -> None:
    body = whole(BIG)
    announced = {"content_type": CONTENT_TYPE, "content_length": str(len(body))}
    request = head("POST /v1/incidents", authorization=await here.bearer(), **announced)
    async with here.wire() as wire:
        await wire.send(request, body[:cut])
        if cut > 5 * MIB:
            await _until(lambda: bool(here.district.store.uploads))
        wire.hang_up()
    assert await only(here.district, before)


async def test_m4_a_content_length_that_says_less_than_comes_is_a_truncated_body(
    here: Served, before: Remains
) -> None:
    """What comes beyond it is no body and no request either."""
    body = whole()
    said = len(body) - 50
    announced = {"content_type": CONTENT_TYPE, "content_length": str(said)}
    request = head("POST /v1/incidents", authorization=await here.bearer(), **announced)
    async with here.wire() as wire:
        await wire.send(request, body[:said])
        assert (await wire.answer()).told == (400, "multipart-truncated")
        await wire.send(body[said:])
        assert (await wire.answer()).status == 400
        assert await wire.closed()
    assert await only(here.district, before)


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: -1",
        "Content-Length: 5, 6",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 99999999999999999999999",
        "Content-Length: five",
        "Transfer-Encoding: chunked, identity",
    ],
)
async def test_m4_a_length_that_can_be_read_in_two_ways_is_refused(
    here: Served, before: Remains, headers: str
) -> None:
    """Proxy and server must never disagree where a request ends."""
    lines = [
        "POST /v1/incidents HTTP/1.1",
        "Host: etong.test",
        f"Authorization: {await here.bearer()}",
        f"Content-Type: {CONTENT_TYPE}",
        headers,
    ]
    async with here.wire() as wire:
        await wire.send("\r\n".join([*lines, "", ""]).encode() + whole())
        assert (await wire.answer()).status == 400
        assert await wire.closed()
    assert await only(here.district, before)


# --- one raw file -----------------------------------------------------------------------------


async def test_m3_m4_m9_m12_a_raw_file_is_judged_as_one_in_a_form(here: Served) -> None:
    """What is refused stays expected; the same file, whole, completes the report."""
    receipt = await here.district.report(attachments=[listed(BIG)])
    url = f"PUT /v1/incidents/{receipt['id']}/attachments/{receipt['attachments'][0]['id']}"
    login = {"authorization": await here.bearer()}
    before = await remains(here.district)
    for body, told in (
        (SVG, (415, "media-type-refused")),
        (BIG[:-1], (422, "attachments-differ")),
        (BIG[:-1] + b"x", (422, "attachments-differ")),
        (BIG + bytes(LIMITS.picture_bytes), (422, "attachments-differ")),
    ):
        announced = {"content_length": str(len(body))}
        assert (await here.ask(head(url, **login, **announced), body)).told == told
    too_large = {"content_length": str(LIMITS.request_bytes + 1)}
    assert (await here.ask(head(url, **login, **too_large))).told == (413, "payload-too-large")
    assert await only(here.district, before)
    announced = {"content_length": str(len(BIG))}
    answer = await here.ask(head(url, **login, **announced), BIG)
    assert (answer.status, answer.json["complete"]) == (201, True)


# --- too much ------------------------------------------------------------------------------------


async def test_m3_a_file_beyond_its_limit_is_refused_while_it_comes(
    here: Served, before: Remains
) -> None:
    body = PNG + bytes(LIMITS.picture_bytes)
    for changes in ({}, {"size": None, "sha256": None}):
        answer = await post(here, whole(body, **changes))
        assert answer.told == (413, "file-too-large")
    assert await only(here.district, before)


async def test_m3_real_bytes_are_counted_where_no_length_is_told(
    here: Served, before: Remains
) -> None:
    files = [PNG + bytes(5 * MIB), PNG + bytes(5 * MIB) + b"2", PNG + bytes(5 * MIB) + b"3"]
    manifest = [listed(body) for body in files]
    sections = [file_part(file["id"], body) for file, body in zip(manifest, files, strict=True)]
    body = body_of(meta_part(new_incident(attachments=manifest)), *sections)
    answer = await post(here, chunked(body, 65536), transfer_encoding="chunked")
    assert answer.told == (413, "payload-too-large")
    assert await only(here.district, before)


def _with_files(count: int) -> bytes:
    """Twelve of them listed, and good."""
    manifest = [listed(PNG) for _ in range(12)]
    names = [file["id"] for file in manifest] + [str(uuid4())] * (count - 12)
    meta = meta_part(new_incident(attachments=manifest))
    return body_of(meta, *(file_part(name, PNG) for name in names))


_TOO_MUCH: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "10,000 parts": (
        lambda: body_of(meta_part(reported()[0]), *[part('name="_charset_"', b"utf-8")] * 9_999),
        413,
        "too-many-parts",
    ),
    "10,000 parts nobody asked for": (
        lambda: body_of(meta_part(reported()[0]), *[part('name="x"', b"y")] * 9_999),
        422,
        "attachment-not-listed",
    ),
    "13 files": (lambda: _with_files(13), 413, "too-many-files"),
    "nine headers": (
        lambda: body_of(meta_part(new_incident(), *[f"X-{n}: {n}" for n in range(7)])),
        400,
        "too-many-part-headers",
    ),
    "a large header": (
        lambda: body_of(meta_part(new_incident(), "X: " + "x" * 5000)),
        400,
        "part-header-too-large",
    ),
    "a preamble": (lambda: b"x" * 2000 + b"\r\n" + whole(), 400, "multipart-slack-too-large"),
    "an epilogue": (lambda: whole() + b"x" * 2000, 400, "multipart-slack-too-large"),
    "much meta": (
        lambda: body_of(meta_part(new_incident(text="x" * 70_000))),
        413,
        "text-too-large",
    ),
}


@pytest.mark.parametrize("case", _TOO_MUCH)
async def test_m3_too_much_of_anything_has_a_code_of_its_own(
    here: Served, before: Remains, case: str
) -> None:
    body, status, code = _TOO_MUCH[case]
    assert (await post(here, body())).told == (status, code)
    assert await only(here.district, before)


# --- not what it says ----------------------------------------------------------------------------


def _named_twice() -> bytes:
    meta, file = reported()
    return body_of(meta_part(meta), file_part(file, PNG), file_part(file, PNG))


def _unlisted() -> bytes:
    meta, _ = reported()
    return body_of(meta_part(meta), file_part(str(uuid4()), PNG))


_WRONG: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "an SVG named .jpg": (lambda: whole(SVG), 415, "media-type-refused"),
    "a page": (lambda: whole(b"<!doctype html><script>1</script>"), 415, "media-type-refused"),
    "a zip": (lambda: whole(b"PK\x03\x04" + bytes(100)), 415, "media-type-refused"),
    "a PDF": (lambda: whole(b"%PDF-1.7\n" + bytes(100)), 415, "media-type-refused"),
    "an empty file": (lambda: whole(b""), 415, "media-type-refused"),
    "a photo called a video": (lambda: whole(kind="video"), 415, "media-type-refused"),
    "another digest": (lambda: whole(sha256="0" * 64), 422, "attachments-differ"),
    "another size": (lambda: whole(size=len(PNG) + 1), 422, "attachments-differ"),
    "a file of another report": (_unlisted, 422, "attachment-not-listed"),
    "the same file twice": (_named_twice, 422, "attachment-repeated"),
    "the file first": (lambda: body_of(file_part("x", PNG)), 400, "meta-must-be-first"),
    "no parts": (body_of, 400, "meta-must-be-first"),
    "multipart in multipart": (
        lambda: body_of(
            meta_part(reported()[0]),
            part('name="a"', body_of(b""), f"Content-Type: multipart/mixed; boundary={BOUNDARY}"),
        ),
        400,
        "multipart-nested",
    ),
    "base64": (
        lambda: body_of(
            meta_part(reported()[0]),
            file_part(str(uuid4()), b64encode(PNG), "Content-Transfer-Encoding: base64"),
        ),
        400,
        "transfer-encoding-refused",
    ),
    "a charset nobody knows": (
        lambda: body_of(part('name="meta"', b"{}", "Content-Type: application/json; charset=big5")),
        415,
        "charset-refused",
    ),
    "GBK called UTF-8": (
        lambda: body_of(
            part('name="meta"', '{"text": "楼道"}'.encode("gbk"), "Content-Type: application/json")
        ),
        400,
        "text-undecodable",
    ),
    "no form-data": (
        lambda: body_of(b"Content-Disposition: attachment\r\n\r\n{}"),
        400,
        "multipart-malformed",
    ),
}


@pytest.mark.parametrize("case", _WRONG)
async def test_m2_m5_m6_m7_m8_m9_m12_what_is_wrong_has_its_code_and_leaves_nothing(
    here: Served, before: Remains, case: str
) -> None:
    body, status, code = _WRONG[case]
    assert (await post(here, body())).told == (status, code)
    assert await only(here.district, before)


async def test_m9_a_body_that_differs_from_its_content_digest_is_refused(
    here: Served, before: Remains
) -> None:
    wrong = b64encode(hashlib.sha256(b"other").digest()).decode()
    answer = await post(here, whole(BIG), content_digest=f"sha-256=:{wrong}:")
    assert answer.told == (400, "digest-mismatch")
    assert await only(here.district, before)


@pytest.mark.parametrize("packed", ["bomb", "much", "damaged", "brotli"])
async def test_m15_compressed_json_that_is_no_report_is_refused(
    here: Served, before: Remains, packed: str
) -> None:
    meta = orjson.dumps(new_incident())
    body, encoding, told = {
        "bomb": (
            gzip.compress(bytes(LIMITS.json_bytes // 2)),
            "gzip",
            (413, "compressed-too-much"),
        ),
        "much": (gzip.compress(bytes(LIMITS.json_bytes + 1)), "gzip", (413, "payload-too-large")),
        "damaged": (gzip.compress(meta)[:-9], "gzip", (400, "malformed-encoding")),
        "brotli": (meta, "br", (415, "content-encoding-refused")),
    }[packed]
    answer = await post(here, body, content_type="application/json", content_encoding=encoding)
    assert answer.told == told
    if answer.status == 415:
        assert answer.headers["accept-encoding"] == "gzip, identity"
    assert await only(here.district, before)


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - the double has no event to wait for
            await asyncio.sleep(0.01)
