"""Bodies that clients make whom nobody here wrote, and bodies as old phones write them."""

import asyncio
import gzip
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import httpx
import orjson
import pytest
import requests

from tests.district import District, new_incident
from tests.incidents.listening import Served, head, served
from tests.incidents.paths import WORKER, listed, look, photo, signed_in
from tests.incidents.remains import only, remains
from tests.media.wire import CONTENT_TYPE, body_of, part

PNG = photo()
NAMES = ["现场.png", "楼道 “杂物”;第1张.png", 'a"b\\c.png', "plain.png", "𠮷野家😀.png"]
Json = dict[str, Any]
Post = Callable[[Served, bytes, str, str], Awaitable[int]]
"""Sends meta and one file (attachment id, file name) with a client of its own; the status."""


@pytest.fixture(scope="module")
async def here(shared_district: District) -> AsyncIterator[Served]:
    async with served(shared_district) as here:
        yield here


def _reported(**changes: Any) -> tuple[bytes, Json]:
    """Meta whose manifest does not name its one file: the part does."""
    file = {name: value for name, value in listed(PNG).items() if name != "name"}
    meta = new_incident(attachments=[file], **changes)
    return orjson.dumps(meta), meta


async def _httpx(here: Served, meta: bytes, file: str, name: str) -> int:
    parts = [("meta", (None, meta, "application/json")), (file, (name, PNG, "image/png"))]
    headers = {"Authorization": await here.bearer()}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{here.url}/v1/incidents", files=parts, headers=headers)
    return answer.status_code


async def _requests(here: Served, meta: bytes, file: str, name: str) -> int:
    parts = [("meta", (None, meta, "application/json")), (file, (name, PNG, "image/png"))]
    headers = {"Authorization": await here.bearer()}

    def post() -> int:
        with requests.Session() as session:
            session.trust_env = False
            url = f"{here.url}/v1/incidents"
            return session.post(url, files=parts, headers=headers, timeout=10).status_code

    return await asyncio.to_thread(post)


async def _aiohttp(here: Served, meta: bytes, file: str, name: str) -> int:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("meta", meta.decode(), content_type="application/json")
    form.add_field(file, PNG, filename=name, content_type="image/png")
    headers = {"Authorization": await here.bearer()}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{here.url}/v1/incidents", data=form, headers=headers) as answer,
    ):
        return answer.status


async def _curl(here: Served, meta: bytes, file: str, name: str) -> int:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    status, _ = await curl(
        here,
        f"meta={meta.decode()};type=application/json",
        f'{file}=@-;filename="{quoted}";type=image/png',
        await here.bearer(),
    )
    return status


async def curl(here: Served, meta: str, file: str, login: str) -> tuple[int, int]:
    """Status, and bytes uploaded, of a form that is announced with Expect: 100-continue."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    words = [
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--max-time",
        "10",
        "--output",
        "/dev/null",
    ]
    words += ["--write-out", "%{http_code} %{size_upload}", "--expect100-timeout", "30"]
    words += ["--header", "Expect: 100-continue", "--header", f"Authorization: {login}"]
    words += ["--form", meta, "--form", file, f"{here.url}/v1/incidents"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("curl", *words, stdin=pipe, stdout=pipe)
    said, _ = await process.communicate(PNG)
    status, uploaded = said.split()
    return int(status), int(uploaded)


CLIENTS: dict[str, Post] = {
    "httpx": _httpx,
    "requests": _requests,
    "aiohttp": _aiohttp,
    "curl": _curl,
}


async def test_m1_curl_that_asks_first_uploads_nothing_when_it_is_refused(here: Served) -> None:
    """And the whole report when it is welcome: the question is answered either way."""
    before = await remains(here.district)
    meta, report = _reported()
    form = (
        f"meta={meta.decode()};type=application/json",
        f"{report['attachments'][0]['id']}=@-;filename=a.png",
    )
    assert await curl(here, *form, "Bearer nobody") == (401, 0)
    assert await only(here.district, before)
    status, uploaded = await curl(here, *form, await here.bearer())
    assert status == 201
    assert uploaded > len(PNG)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("client", CLIENTS)
async def test_m5_a_file_keeps_the_name_that_any_client_gives_it(
    here: Served, client: str, name: str
) -> None:
    meta, report = _reported()
    (file,) = report["attachments"]
    assert await CLIENTS[client](here, meta, file["id"], name) == 201
    (shown,) = (await look(here.district, WORKER, report["id"]))["attachments"]
    assert (shown["name"], shown["state"], shown["sha256"]) == (
        name.rsplit("\\", maxsplit=1)[-1],
        "stored",
        file["sha256"],
    )


async def test_m5_percent_signs_beyond_the_three_are_the_names_own(here: Served) -> None:
    """aiohttp by itself writes the whole name in percents; only %22, %0D and %0A are undone."""
    meta, report = _reported()
    form = aiohttp.FormData()
    form.add_field("meta", meta.decode(), content_type="application/json")
    form.add_field(report["attachments"][0]["id"], PNG, filename='现"场.png')
    headers = {"Authorization": await here.bearer()}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{here.url}/v1/incidents", data=form, headers=headers) as answer,
    ):
        assert answer.status == 201
    assert await _name_shown(here, report) == '%E7%8E%B0"%E5%9C%BA.png'


_OLD_NAMES: dict[str, tuple[bytes, str]] = {
    "GBK": ('filename="现场.jpg"'.encode("gbk"), "现场.jpg"),
    "GBK that holds a backslash": ('filename="誠.jpg"'.encode("gbk"), "誠.jpg"),
    "a path in GBK": ('filename="C:\\DCIM\\现场.jpg"'.encode("gbk"), "现场.jpg"),
    "only filename*": (b"filename*=UTF-8''%E7%8E%B0%E5%9C%BA.jpg", "现场.jpg"),
    "only filename* in GBK": (b"filename*=GBK''%CF%D6%B3%A1.jpg", "现场.jpg"),
    "filename* with folders": (b"filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
    "both": (b"filename*=UTF-8''other.jpg; filename=\"one.jpg\"", "one.jpg"),
    "NUL and a turned suffix": ('filename="a\u202egnp.exe%0D%0A"'.encode(), "agnp.exe"),
    "too long": (f'filename="{"长" * 100}.jpg"'.encode(), "长" * 83 + ".jpg"),
}


@pytest.mark.parametrize("written", _OLD_NAMES)
async def test_m5_names_as_old_phones_write_them_are_read(here: Served, written: str) -> None:
    raw, name = _OLD_NAMES[written]
    meta, report = _reported()
    file = part(b'name="%b"; %b' % (report["attachments"][0]["id"].encode(), raw), PNG)
    status, _ = await _post(here, body_of(_meta(meta), file))
    assert status == 201
    assert await _name_shown(here, report) == name


async def test_m5_m12_the_name_and_the_true_type_come_with_the_download(here: Served) -> None:
    meta, report = _reported()
    named = part(
        f'name="{report["attachments"][0]["id"]}"; filename="现场.html"',
        PNG,
        "Content-Type: text/html",
    )
    assert (await _post(here, body_of(_meta(meta), named)))[0] == 201
    (shown,) = (await look(here.district, WORKER, report["id"]))["attachments"]
    worker = await signed_in(here.district, WORKER)
    got = await worker.get(shown["url"])
    assert (got.content, got.headers["content-type"]) == (PNG, "image/png")
    assert got.headers["x-content-type-options"] == "nosniff"
    saved = "attachment; filename*=UTF-8''%E7%8E%B0%E5%9C%BA.html"
    assert got.headers["content-disposition"] == saved


@pytest.mark.parametrize("charset", ["gbk", "GB2312", "gb18030"])
async def test_m6_text_in_a_chinese_charset_is_never_mojibake(here: Served, charset: str) -> None:
    text = "楼道堆放杂物，堵塞消防通道"
    raw, report = _reported(text=text)
    old = raw.decode().encode(charset)
    body = body_of(part('name="meta"', old, f"Content-Type: application/json; charset={charset}"))
    assert (await _post(here, body))[0] == 201
    assert (await look(here.district, WORKER, report["id"]))["text"] == text


async def test_m6_the_charset_field_may_come_before_meta(here: Served) -> None:
    raw, report = _reported(text="井盖缺失")
    body = body_of(part('name="_charset_"', b"gbk"), _meta(raw.decode().encode("gbk")))
    assert (await _post(here, body))[0] == 201
    assert (await look(here.district, WORKER, report["id"]))["text"] == "井盖缺失"


async def test_m15_json_may_come_in_gzip(here: Served) -> None:
    raw, report = _reported(text="井盖缺失")
    given = {"content_type": "application/json", "content_encoding": "gzip"}
    status, receipt = await _post(here, gzip.compress(raw), **given)
    assert (status, receipt["id"]) == (201, report["id"])
    again, receipt_again = await _post(here, raw, content_type="application/json")
    assert (again, receipt_again) == (200, receipt)


def _meta(raw: bytes) -> bytes:
    return part('name="meta"', raw, "Content-Type: application/json")


async def _post(here: Served, body: bytes, **headers: str) -> tuple[int, Json]:
    given = {"content_type": CONTENT_TYPE, "content_length": str(len(body)), **headers}
    answer = await here.ask(
        head("POST /v1/incidents", authorization=await here.bearer(), **given), body
    )
    return answer.status, answer.json


async def _name_shown(here: Served, report: Json) -> str:
    (shown,) = (await look(here.district, WORKER, report["id"]))["attachments"]
    assert shown["state"] == "stored"
    return str(shown["name"])
