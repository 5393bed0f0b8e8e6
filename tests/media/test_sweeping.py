"""Strays are removed after a day, forgotten uploads after a week; nothing that a row names."""

from datetime import timedelta

import pytest

from app.core.memory_store import MemoryStore
from app.core.object_store import StoreUnavailable
from app.media.sweeping import Swept, sweep
from tests.district import District, new_incident

JPEG = b"\xff\xd8\xff\xe0" + b"x" * 100
FILE_ID = "01939e6a-0002-7000-8000-000000000001"


async def _report_with_photo(district: District) -> None:
    worker = await district.client("worker-yonghong")
    meta = new_incident(attachments=[{"id": FILE_ID, "kind": "photo"}])
    sent = await worker.post("/v1/incidents", json=meta)
    assert sent.status_code == 201
    put = await worker.put(
        f"/v1/incidents/{meta['id']}/attachments/{FILE_ID}",
        content=JPEG,
        headers={"Content-Type": "application/octet-stream"},
    )
    assert put.status_code == 201, put.text


async def test_named_and_young_objects_stay(district: District) -> None:
    await _report_with_photo(district)
    await district.store.put("media/2026/03/stray", b"x", "image/jpeg")
    district.clock.advance(timedelta(hours=23))
    assert await sweep(district.resources) == Swept(objects=0, uploads=0)
    assert len(district.store.objects) == 2


async def test_f11_a_stray_is_gone_after_a_day(district: District) -> None:
    await _report_with_photo(district)
    await district.store.put("media/2026/03/stray", b"x", "image/jpeg")
    district.clock.advance(timedelta(hours=25))
    assert await sweep(district.resources) == Swept(objects=1, uploads=0)
    assert "media/2026/03/stray" not in district.store.objects
    assert len(district.store.objects) == 1


async def test_m11_orphan_multipart_is_gone_after_the_sweeper(district: District) -> None:
    upload = await district.store.start_parts("media/2026/03/half", "video/mp4")
    await district.store.put_part("media/2026/03/half", upload, 1, b"x" * 10)
    district.clock.advance(timedelta(days=6))
    assert (await sweep(district.resources)).uploads == 0
    district.clock.advance(timedelta(days=2))
    assert (await sweep(district.resources)).uploads == 1
    assert not district.store.uploads


async def test_a_store_that_is_down_is_said(district: District) -> None:
    store: MemoryStore = district.store
    store.down = True
    with pytest.raises(StoreUnavailable):
        await sweep(district.resources)
