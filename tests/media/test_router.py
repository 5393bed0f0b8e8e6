from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import FakeClock
from app.core.db import new_id
from app.core.memory_store import MemoryStore
from app.core.resources import Resources
from app.media import samples
from app.media.errors import FileNotFound
from app.media.models import MediaFile
from app.media.storing import store
from app.media.viewing import Variant, link, verify
from tests.conftest import NOON
from tests.media.wire import stream

PHOTO = samples.picture(3)


async def make_file(
    session: AsyncSession, resources: Resources, state: str = "stored"
) -> MediaFile:
    stored = await store(resources, stream(PHOTO, range(0, len(PHOTO), 4096)))
    file = MediaFile(
        id=new_id(),
        state=state,
        kind=stored.kind,
        filename="现场 1.png",
        object_key=stored.object_key,
        size=stored.size,
        sha256=bytes.fromhex(stored.sha256),
        content_type=stored.content_type,
        uploaded_at=NOON,
        uploaded_by=new_id(),
        created_at=NOON,
    )
    session.add(file)
    await session.commit()
    return file


@pytest.fixture
async def file(session: AsyncSession, resources: Resources) -> MediaFile:
    return await make_file(session, resources)


def url_of(resources: Resources, file_id: UUID, variant: Variant = "original") -> str:
    return link(resources.keys, file_id, variant, NOON, 300).url


@pytest.fixture
def url(resources: Resources, file: MediaFile) -> str:
    return url_of(resources, file.id)


async def test_an_altered_link_is_told_nothing(
    client: httpx.AsyncClient, resources: Resources, url: str
) -> None:
    other = str(new_id())
    path, _, query = url.partition("?")
    expires, signature = query.split("&")
    later = f"expires={int(expires.partition('=')[2]) + 60}"
    altered = [
        url[:-1] + ("A" if url[-1] != "A" else "B"),
        f"{path}?{later}&{signature}",
        f"{path}?{expires}",
        path,
        url.replace("/original", "/view"),
        "/v1/files/" + other + "/original?" + query,
    ]
    for changed in altered:
        answer = await client.get(changed)
        assert (answer.status_code, answer.json()["code"]) == (404, "file-not-found"), changed
    assert (await client.get(url_of(resources, new_id()))).status_code == 404


async def test_an_expired_link_is_refused(
    client: httpx.AsyncClient, clock: FakeClock, url: str
) -> None:
    clock.advance(timedelta(seconds=299))
    assert (await client.get(url)).status_code == 200
    clock.advance(timedelta(seconds=1))
    for method in ("GET", "HEAD"):
        assert (await client.request(method, url)).status_code == 403
    assert (await client.get(url)).json()["code"] == "link-expired"


@pytest.mark.parametrize("state", ["expected", "receiving", "verifying", "rejected"])
async def test_only_stored_files_are_shown(
    client: httpx.AsyncClient, resources: Resources, session: AsyncSession, state: str
) -> None:
    file = await make_file(session, resources, state)
    assert (await client.get(url_of(resources, file.id))).status_code == 404


async def test_a_derivative_that_does_not_exist_is_not_found(
    client: httpx.AsyncClient, resources: Resources, file: MediaFile
) -> None:
    assert (await client.get(url_of(resources, file.id, "thumbnail"))).status_code == 404


async def test_f8_a_store_that_is_down_is_told_with_retry_after(
    client: httpx.AsyncClient, store: MemoryStore, url: str
) -> None:
    store.down = True
    answer = await client.get(url)
    assert answer.status_code == 503
    assert answer.json()["code"] == "file-store-unavailable"
    assert int(answer.headers["retry-after"]) > 0


async def test_an_object_that_is_gone_is_not_found(
    client: httpx.AsyncClient, store: MemoryStore, url: str
) -> None:
    store.objects.clear()
    assert (await client.get(url)).status_code == 404


async def test_m12_a_download_is_an_attachment_that_no_browser_runs(
    client: httpx.AsyncClient, url: str
) -> None:
    for method in ("GET", "HEAD"):
        headers = (await client.request(method, url)).headers
        assert headers["content-disposition"] == (
            "attachment; filename*=UTF-8''%E7%8E%B0%E5%9C%BA%201.png"
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "private, no-store"
        assert headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert headers["content-type"] == "image/png"
        assert headers["content-length"] == str(len(PHOTO))
        assert headers["accept-ranges"] == "bytes"


async def test_the_url_serves_the_original_bytes(
    client: httpx.AsyncClient, file: MediaFile, url: str
) -> None:
    answer = await client.get(url)
    assert answer.status_code == 200
    assert answer.content == PHOTO
    assert file.sha256
    assert answer.headers["etag"] == f'"{file.sha256.hex()}"'


async def test_head_asks_neither_the_store_nor_for_ranges(
    client: httpx.AsyncClient, store: MemoryStore, url: str
) -> None:
    store.down = True
    answer = await client.head(url, headers={"Range": "bytes=0-0"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(PHOTO))


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=100-", 100, len(PHOTO)),
        ("bytes=-7", len(PHOTO) - 7, len(PHOTO)),
        ("bytes=5-99999999", 5, len(PHOTO)),
        ("bytes=-99999999", 0, len(PHOTO)),
        ("Bytes = 1-2", 1, 3),
    ],
)
async def test_single_ranges(
    client: httpx.AsyncClient, url: str, asked: str, start: int, end: int
) -> None:
    answer = await client.get(url, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == PHOTO[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(PHOTO)}"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("asked", [f"bytes={len(PHOTO)}-", "bytes=99999999-", "bytes=-0"])
async def test_ranges_beyond_the_end(client: httpx.AsyncClient, url: str, asked: str) -> None:
    answer = await client.get(url, headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.json()["code"] == "range-not-satisfiable"
    assert answer.headers["content-range"] == f"bytes */{len(PHOTO)}"


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "bytes=2-1", "bytes=-", "bytes=x", "lines=1-2", "bytes=1-2-3", "1-2"]
)
async def test_other_ranges_are_ignored(client: httpx.AsyncClient, url: str, asked: str) -> None:
    answer = await client.get(url, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, PHOTO)


async def test_if_range(client: httpx.AsyncClient, url: str) -> None:
    etag = (await client.head(url)).headers["etag"]
    fitting = await client.get(url, headers={"Range": "bytes=0-3", "If-Range": etag})
    assert fitting.status_code == 206
    for other in ('"other"', f"W/{etag}", "Wed, 11 Mar 2026 04:00:00 GMT"):
        answer = await client.get(url, headers={"Range": "bytes=0-3", "If-Range": other})
        assert (answer.status_code, answer.content) == (200, PHOTO)


def test_a_link_says_when_it_ends(resources: Resources) -> None:
    made = link(resources.keys, new_id(), "original", NOON, 300)
    assert made.expires_at == NOON + timedelta(seconds=300)


def test_links_of_another_secret_do_not_count(resources: Resources) -> None:
    file_id = new_id()
    with pytest.raises(FileNotFound):
        verify(resources.keys, file_id, "original", 1 << 40, "", now=NOON)
    with pytest.raises(FileNotFound):
        verify(resources.keys, file_id, "original", 1 << 40, "ü" * 22, now=NOON)
