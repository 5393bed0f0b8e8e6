"""The files of a tip: however they came, no byte of them stands in the store as it was taken."""

from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from PIL import Image, ImageChops

from app.media.samples import picture
from app.media.watermark import watermarked
from tests.district import District, new_incident
from tests.incidents.paths import (
    DESK,
    SEALED,
    WORKER,
    form,
    listed,
    look,
    person_id,
    photo,
    say_why,
    signed_in,
    with_photo,
)
from tests.incidents.uploading import STREAM, metadata

BODY = photo(7)
Sent = Callable[[District], Awaitable[str]]


async def _posted(district: District, body: bytes = BODY) -> str:
    client = await signed_in(district, WORKER)
    meta, files = with_photo(body, **SEALED)
    answer = await client.post("/v1/incidents", files=form(meta, files))
    assert answer.status_code == 201, answer.text
    return str(meta["id"])


async def _put(district: District) -> str:
    file = listed(BODY)
    incident = (await district.report(attachments=[file], **SEALED))["id"]
    client = await signed_in(district, WORKER)
    url = f"/v1/incidents/{incident}/attachments/{file['id']}"
    assert (await client.put(url, content=BODY)).status_code == 201
    return str(incident)


async def _supplemented(district: District) -> str:
    incident = (await district.report(**SEALED))["id"]
    file = listed(BODY)
    meta = {"id": new_incident()["id"], "attachments": [file]}
    client = await signed_in(district, WORKER)
    url = f"/v1/incidents/{incident}/supplements"
    answer = await client.post(url, files=form(meta, {file["id"]: BODY}))
    assert answer.status_code == 201, answer.text
    return str(incident)


async def _uploaded(district: District) -> str:
    """In pieces: they are put together first, and encrypted by the first job."""
    file = listed(BODY)
    incident = (await district.report(attachments=[file], **SEALED))["id"]
    client = await signed_in(district, WORKER)
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(BODY)),
        "Upload-Metadata": metadata(incident_id=incident, attachment_id=file["id"]),
        "Content-Type": STREAM,
    }
    answer = await client.post("/v1/uploads", headers=headers, content=BODY)
    assert answer.status_code == 201, answer.text
    return str(incident)


def _plain(district: District) -> list[str]:
    """Keys of objects that anybody with the store can look at."""
    return [
        key
        for key, item in district.store.objects.items()
        if BODY[:64] in item.body or item.body[:4] in {b"\x89PNG", b"RIFF"}
    ]


@pytest.mark.parametrize("sent", [_posted, _put, _supplemented])
async def test_what_comes_in_one_request_never_stands_there_plain(
    district: District, sent: Sent
) -> None:
    await sent(district)
    assert district.store.objects
    assert _plain(district) == []


@pytest.mark.parametrize("sent", [_posted, _put, _supplemented, _uploaded])
async def test_neither_file_nor_pictures_of_it_stand_in_the_store(
    district: District, sent: Sent
) -> None:
    incident = await sent(district)
    for _ in range(2):  # what is moved first is looked into by the next job
        await district.work_off()
    (file,) = (await look(district, WORKER, incident))["attachments"]
    assert file["derivatives"] == "made"
    assert len(district.store.objects) > 1
    assert _plain(district) == []
    await _is_read_whole(await signed_in(district, WORKER), file)


async def _is_read_whole(client: httpx.AsyncClient, file: dict[str, Any]) -> None:
    """Through the server, from our own origin, with ranges."""
    original = await client.get(file["url"])
    assert (original.status_code, original.content) == (200, BODY)
    part = await client.get(file["url"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, BODY[10:20])
    view = await client.get(file["view_url"])
    assert (view.status_code, view.content[:4]) == (200, b"RIFF")


async def test_files_of_other_matters_stay_as_they_are(district: District) -> None:
    client = await signed_in(district, WORKER)
    meta, files = with_photo(BODY)
    assert (await client.post("/v1/incidents", files=form(meta, files))).status_code == 201
    await district.work_off()
    assert len(_plain(district)) == len(district.store.objects) > 1


async def test_a_viewing_copy_says_who_looked_and_when(district: District) -> None:
    """Everybody gets another one; what is signed with it can't be taken off the link."""
    incident = await _posted(district, picture(7, "png", (640, 480)))
    await district.work_off()
    copies = []
    for who in (WORKER, DESK):
        await say_why(district, who, incident)
        (file,) = (await look(district, who, incident))["attachments"]
        me = str(await person_id(district, who))
        for url in (file["view_url"], file["thumbnail_url"]):
            mark = dict(parse_qsl(urlsplit(url).query))["mark"]
            assert mark == f"{me} {district.clock.now():%Y-%m-%d %H:%MZ}"
        client = await signed_in(district, who)
        copies.append((await client.get(file["view_url"])).content)
        bare = file["view_url"].partition("&mark=")[0]
        assert (await client.get(bare)).status_code == 404
        assert (await client.get(bare + "&mark=somebody")).status_code == 404
        part = await client.get(file["view_url"], headers={"Range": "bytes=0-9"})
        assert (part.status_code, part.headers["accept-ranges"]) == (200, "none")
    assert copies[0] != copies[1]


def test_the_mark_covers_the_whole_picture() -> None:
    """In every quarter of it some pixels are others than before."""
    plain = picture(3, "webp", (320, 240))
    marked = watermarked(plain, "01939e6a-0001-7000-8000-000000000001 2026-03-12 06:05Z")
    with Image.open(BytesIO(plain)) as before, Image.open(BytesIO(marked)) as after:
        assert before.size == after.size
        changed = ImageChops.difference(before.convert("L"), after.convert("L"))
    for left in (0, 160):
        for top in (0, 120):
            quarter = changed.crop((left, top, left + 160, top + 120))
            assert sum(quarter.histogram()[60:]) > 100
