"""F24: a disk that fills up takes no more files, then no more reports, and loses nothing."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from app.core.settings import MIB, DiskSettings
from app.simulation.reports import MadeReport
from tests.district import District
from tests.faults.wire import new_report

SIZE = 20 * MIB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MiB of the test's own."""
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    options = f"size={SIZE}"
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", options, "none", folder], check=False, capture_output=True
    )
    if done.returncode != 0:
        pytest.skip("this machine lets nobody mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def watched(district: District, disk: Path) -> District:
    settings = district.resources.settings
    district.resources.settings = settings.model_copy(
        update={"disk": DiskSettings(folders=(disk,))}
    )
    return district


def fill(district: District, disk: Path, share: float) -> None:
    filler = disk / "filler"
    filler.write_bytes(bytes(int(SIZE * share)))
    # the disk is asked once a second
    district.clock.advance(timedelta(seconds=2))


async def post(district: District, made: MadeReport) -> httpx.Response:
    worker = await district.client("worker-yonghong")
    headers = {"Content-Type": made.content_type}
    return await worker.post("/v1/incidents", content=made.multipart(), headers=headers)


async def put(district: District, made: MadeReport) -> httpx.Response:
    worker = await district.client("worker-yonghong")
    path = f"/v1/incidents/{made.id}/attachments/{made.photos[0].id}"
    return await worker.put(path, content=made.photos[0].body)


async def test_f24_at_95_percent_reports_are_refused_and_reading_goes_on(
    watched: District, disk: Path
) -> None:
    first = await watched.report()
    fill(watched, disk, 0.96)
    refused = await post(watched, new_report(1))
    assert (refused.status_code, refused.json()["code"]) == (507, "insufficient-storage")
    assert refused.headers["retry-after"] == "600"
    worker = await watched.client("worker-yonghong")
    assert (await worker.get(f"/v1/incidents/{first['id']}")).status_code == 200
    added = {"id": str(new_report(2).id), "text": "补充"}
    supplement = await worker.post(f"/v1/incidents/{first['id']}/supplements", json=added)
    assert (supplement.status_code, supplement.json()["code"]) == (507, "insufficient-storage")
    fill(watched, disk, 0.5)
    assert (await post(watched, new_report(1))).status_code == 201


async def test_f24_at_90_percent_the_text_is_taken_and_the_files_stay_expected(
    watched: District, disk: Path
) -> None:
    made = new_report(1)
    fill(watched, disk, 0.92)
    taken = await post(watched, made)
    assert (taken.status_code, taken.json()["complete"]) == (201, False)
    assert [file["state"] for file in taken.json()["attachments"]] == ["expected"]
    late = await put(watched, made)
    assert (late.status_code, late.json()["code"]) == (507, "insufficient-storage")
    assert watched.store.objects == {}
    fill(watched, disk, 0.5)
    assert (await put(watched, made)).json()["complete"] is True


async def test_f24_a_large_disk_is_not_full_while_it_has_room(
    watched: District, disk: Path
) -> None:
    settings = watched.resources.settings
    roomy = settings.disk.model_copy(update={"files_free_bytes": MIB, "reports_free_bytes": 0})
    watched.resources.settings = settings.model_copy(update={"disk": roomy})
    fill(watched, disk, 0.92)
    assert (await post(watched, new_report(1))).json()["complete"] is True


async def test_f24_what_is_used_is_shown(watched: District, disk: Path) -> None:
    fill(watched, disk, 0.75)
    worker = await watched.client("worker-yonghong")
    detail = (await worker.get("/health/detail")).json()
    assert detail["disk_used"] == pytest.approx(0.75, abs=0.01)
    metrics = (await watched.anonymous().get("/metrics")).text
    assert f"disk_used_ratio {detail['disk_used']}" in metrics


async def test_f24_the_databases_own_disk_full_is_named_and_the_report_can_be_repeated(
    district: District,
) -> None:
    made = new_report(1)
    await _run(district, *_FULL)
    refused = await post(district, made)
    assert (refused.status_code, refused.json()["code"]) == (507, "insufficient-storage")
    await _run(district, "DROP TRIGGER full_disk ON incidents")
    taken = await post(district, made)
    assert (taken.status_code, taken.json()["complete"]) == (201, True)


_FULL = (
    """CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$""",
    "CREATE TRIGGER full_disk BEFORE INSERT ON incidents EXECUTE FUNCTION full_disk()",
)


async def _run(district: District, *statements: str) -> None:
    async with district.resources.sessions.begin() as session:
        for statement in statements:
            await session.execute(text(statement))
