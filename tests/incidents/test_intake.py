"""Reports that are taken in, and what a repeat of them gets."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text

from app.core.db import Sessions, make_engine
from app.core.events import OutboxRow
from app.core.memory_store import MemoryStore
from app.core.resources import Resources
from app.core.settings import DatabaseSettings
from app.core.wakeups import MemoryWakeups
from app.incidents.models import HistoryEntry, Incident, IncidentMedia
from app.main import create_app
from app.media.models import MediaFile
from tests.district import District, new_incident
from tests.incidents.paths import WORKER, form, listed, look, photo, rows_of, with_photo
from tests.incidents.test_fingerprint import shuffled
from tests.media.wire import body_of, part

PHOTOS = [photo(1), photo(2)]


@pytest.fixture
async def worker(shared_district: District) -> httpx.AsyncClient:
    return await shared_district.client(WORKER)


@pytest.fixture
def store(shared_district: District) -> MemoryStore:
    return shared_district.store


async def _objects_named(district: District, incident_id: str) -> set[str | None]:
    async with district.resources.sessions.read() as session:
        keys = await session.scalars(
            select(MediaFile.object_key)
            .join(IncidentMedia, IncidentMedia.media_id == MediaFile.id)
            .where(IncidentMedia.incident_id == UUID(incident_id))
        )
        return set(keys)


async def _post(client: httpx.AsyncClient, meta: Any, files: dict[str, bytes]) -> httpx.Response:
    return await client.post("/v1/incidents", files=form(meta, files))


def _reused(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")


async def test_r2_i4_the_same_id_with_other_content_is_refused_and_the_first_kept(
    shared_district: District, worker: httpx.AsyncClient
) -> None:
    meta = new_incident()
    first = await worker.post("/v1/incidents", json=meta)
    for other in ({"text": "另一件事"}, {"urgency": "urgent"}, {"attachments": [listed(b"x")]}):
        answer = await worker.post("/v1/incidents", json=meta | other)
        _reused(answer)
        assert answer.json()["revision"] == 1
    kept = (await rows_of(shared_district, meta["id"])).incident
    assert (kept.text, kept.number) == (meta["text"], first.json()["number"])


async def test_i4_a_refused_repeat_leaves_no_objects(
    shared_district: District, worker: httpx.AsyncClient, store: MemoryStore
) -> None:
    """The own id with other content, or somebody else's, of which nothing is told."""
    taken = (await shared_district.report())["id"]
    before = set(store.objects)
    meta, files = with_photo(id=taken)
    for client, told in ((worker, True), (await shared_district.client("worker-minxin"), False)):
        answer = await _post(client, meta, files)
        _reused(answer)
        assert ("revision" in answer.json()) is told
    assert set(store.objects) == before


async def test_i4_other_bytes_for_a_file_without_a_digest_are_refused(
    shared_district: District, worker: httpx.AsyncClient, store: MemoryStore
) -> None:
    file = listed(photo(1), size=None, sha256=None)
    meta = new_incident(attachments=[file])
    assert (await _post(worker, meta, {file["id"]: photo(1)})).status_code == 201
    before = set(store.objects)
    _reused(await _post(worker, meta, {file["id"]: photo(2)}))
    assert (await _post(worker, meta, {file["id"]: photo(1)})).status_code == 200
    assert (await worker.post("/v1/incidents", json=meta)).status_code == 200
    assert set(store.objects) == before == before | await _named(shared_district, meta)


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - the double has no event to wait for
            await asyncio.sleep(0)


async def _named(district: District, meta: dict[str, Any]) -> set[str]:
    return {key for key in await _objects_named(district, meta["id"]) if key}


async def test_i7_a_refusal_is_not_remembered(worker: httpx.AsyncClient) -> None:
    meta = new_incident()
    assert (await worker.post("/v1/incidents", json=meta | {"category": "9876"})).status_code == 422
    assert (await worker.post("/v1/incidents", json=meta)).status_code == 201


async def test_i7_a_truncated_report_is_taken_when_it_comes_whole(
    worker: httpx.AsyncClient, store: MemoryStore
) -> None:
    meta, files = with_photo()
    request = worker.build_request("POST", "/v1/incidents", files=form(meta, files))
    whole = await request.aread()
    headers = {"Content-Type": request.headers["Content-Type"]}
    before = set(store.objects)
    cut = await worker.post("/v1/incidents", content=whole[:-5], headers=headers)
    assert (cut.status_code, set(store.objects)) == (400, before)
    assert (await worker.post("/v1/incidents", content=whole, headers=headers)).status_code == 201
    assert len(set(store.objects) - before) == 1


async def test_m9_r9_a_store_that_is_down_leaves_files_expected(
    shared_district: District, worker: httpx.AsyncClient, store: MemoryStore
) -> None:
    """And a repeat with the same bytes completes it (I5)."""
    meta, files = with_photo()
    (attachment,) = files
    store.down = True
    try:
        first = await _post(worker, meta, files)
    finally:
        store.down = False
    assert first.status_code == 201
    assert first.json()["complete"] is False
    assert first.json()["attachments"][0]["state"] == "expected"
    again = await _post(worker, meta, files)
    assert (again.status_code, again.json()["complete"]) == (200, True)
    assert again.json()["attachments"][0] == first.json()["attachments"][0] | {"state": "stored"}
    stored = (await rows_of(shared_district, meta["id"])).events[-1]
    assert (stored.name, stored.payload["attachment_id"]) == (
        "incident.attachment_stored",
        attachment,
    )


async def test_m9_a_digestless_file_that_found_the_store_down_comes_again(
    worker: httpx.AsyncClient, store: MemoryStore
) -> None:
    file = listed(photo(), size=None, sha256=None)
    meta = new_incident(attachments=[file])
    store.down = True
    try:
        assert (await _post(worker, meta, {file["id"]: photo()})).status_code == 201
    finally:
        store.down = False
    again = await _post(worker, meta, {file["id"]: photo()})
    assert (again.status_code, again.json()["complete"]) == (200, True)


async def test_m9_r3_a_listed_file_that_does_not_come_stays_expected(
    worker: httpx.AsyncClient,
) -> None:
    bodies = [photo(1), photo(2)]
    files = [listed(body) for body in bodies]
    meta = new_incident(attachments=files)
    answer = await _post(worker, meta, {files[1]["id"]: bodies[1]})
    assert answer.status_code == 201
    assert [item["state"] for item in answer.json()["attachments"]] == ["expected", "stored"]


async def test_m8_equal_content_and_equal_names_are_both_kept(
    shared_district: District, worker: httpx.AsyncClient, store: MemoryStore
) -> None:
    body = photo()
    files = [listed(body), listed(body)]
    meta = new_incident(attachments=files)
    answer = await _post(worker, meta, {file["id"]: body for file in files})
    assert (answer.status_code, answer.json()["complete"]) == (201, True)
    keys = await _named(shared_district, meta)
    assert len(keys) == 2
    assert {store.objects[key].body for key in keys} == {body}


async def test_a_first_receipt_tells_everything(
    shared_district: District, worker: httpx.AsyncClient
) -> None:
    meta, files = with_photo()
    answer = await _post(worker, meta, files)
    receipt = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/incidents/{meta['id']}"
    assert "Idempotency-Replayed" not in answer.headers
    assert receipt["number"].startswith("620802105-20260311-")
    assert (receipt["state"], receipt["revision"], receipt["complete"]) == ("submitted", 1, True)
    rows = await rows_of(shared_district, meta["id"])
    assert [event.name for event in rows.events] == ["incident.reported"]
    assert [entry.action for entry in rows.history] == ["report"]
    assert rows.steps == []
    assert rows.incident.owner_unit_id is not None


async def test_m5_names_are_shown_without_directories(
    shared_district: District, worker: httpx.AsyncClient
) -> None:
    file = listed(photo(), name="../../etc/现场.png")
    meta = new_incident(attachments=[file])
    assert (await _post(worker, meta, {file["id"]: photo()})).status_code == 201
    shown = await look(shared_district, WORKER, meta["id"])
    assert [item["name"] for item in shown["attachments"]] == ["现场.png"]


@pytest.mark.parametrize("key", ["{}", '"{}"', " {} "])
async def test_i2_a_key_that_equals_the_id_is_welcome(worker: httpx.AsyncClient, key: str) -> None:
    meta = new_incident()
    headers = {"Idempotency-Key": key.format(meta["id"].upper() if '"' in key else meta["id"])}
    assert (await worker.post("/v1/incidents", json=meta, headers=headers)).status_code == 201
    again = await worker.post("/v1/incidents", json=meta, headers=headers)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")


async def test_i1_ids_of_version_4_and_7_are_taken_and_their_time_is_not_believed(
    shared_district: District, worker: httpx.AsyncClient
) -> None:
    for id_ in (str(uuid4()), "01000000-0000-7000-8000-000000000001"):
        answer = await worker.post("/v1/incidents", json=new_incident(id=id_))
        assert answer.status_code == 201
        received = (await rows_of(shared_district, id_)).incident.received_at
        assert received == shared_district.clock.now()


async def test_i8_the_id_of_a_deleted_report_is_never_taken_again(
    district: District,
) -> None:
    """Deleted as retention would, by whoever may pass over the history's own guard."""
    worker, store = await district.client(WORKER), district.store
    meta, files = with_photo()
    assert (await _post(worker, meta, files)).status_code == 201
    await _delete(district, meta["id"])
    before = set(store.objects)
    for answer in (await _post(worker, meta, files), await worker.post("/v1/incidents", json=meta)):
        assert (answer.status_code, answer.json()["code"]) == (410, "incident-deleted")
    other = await district.client("worker-minxin")
    assert (await other.post("/v1/incidents", json=meta)).status_code == 410
    assert set(store.objects) == before
    gone = await worker.get(f"/v1/incidents/{meta['id']}/receipt")
    assert gone.status_code == 404


async def _delete(district: District, incident_id: str) -> None:
    async with district.resources.sessions.begin() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        for table in (HistoryEntry, IncidentMedia, OutboxRow):
            await session.execute(delete(table))
        await session.execute(delete(Incident).where(Incident.id == UUID(incident_id)))


async def test_r2_i5_a_repeat_gets_the_first_receipt_whenever_it_comes(
    shared_district: District, worker: httpx.AsyncClient
) -> None:
    meta, files = with_photo()
    first = await _post(worker, meta, files)
    await shared_district.drain()
    shared_district.clock.advance(timedelta(minutes=3))
    again = await _post(worker, meta, files)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
    moved = {"revision": 2}
    assert again.json() == first.json() | moved
    rows = await rows_of(shared_district, meta["id"])
    assert sum(event.name == "incident.reported" for event in rows.events) == 1


async def test_i5_a_repeat_that_brings_bytes_still_expected_stores_them(
    shared_district: District, worker: httpx.AsyncClient, store: MemoryStore
) -> None:
    """Text first, then the same report with its file: only the missing one is taken."""
    bodies = [photo(1), photo(2)]
    files = [listed(body) for body in bodies]
    meta = new_incident(attachments=files)
    sent = {file["id"]: body for file, body in zip(files, bodies, strict=True)}
    assert (await worker.post("/v1/incidents", json=meta)).json()["complete"] is False
    half = await _post(worker, meta, {files[0]["id"]: bodies[0]})
    assert [item["state"] for item in half.json()["attachments"]] == ["stored", "expected"]
    kept = await _named(shared_district, meta)
    whole = await _post(worker, meta, sent)
    assert (whole.status_code, whole.json()["complete"]) == (200, True)
    keys = await _named(shared_district, meta)
    assert kept < keys
    assert {store.objects[key].body for key in keys} == set(bodies)
    stored = (await rows_of(shared_district, meta["id"])).events[1:]
    assert [event.payload["complete"] for event in stored] == [False, True]


async def test_i6_a_hung_first_request_does_not_block_its_repeat(
    worker: httpx.AsyncClient, store: MemoryStore
) -> None:
    meta, files = with_photo()
    store.gate, calls = asyncio.Event(), store.calls
    hung = asyncio.create_task(_post(worker, meta, files))
    await _until(lambda: store.calls > calls)
    gate, store.gate = store.gate, None
    assert (await _post(worker, meta, files)).status_code == 201
    gate.set()
    late = await hung
    assert (late.status_code, late.json()["complete"]) == (200, True)


async def test_f2_i3_fifty_identical_posts_give_one_row(district: District) -> None:
    twin = _twin(district)
    meta, files = with_photo()
    clients = [await side.client(WORKER) for side in (district, twin)]
    try:
        answers = await asyncio.gather(
            *(_post(clients[number % 2], meta, files) for number in range(50))
        )
    finally:
        await clients[1].aclose()
        await twin.resources.sessions.close()
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * 49 + [201]
    assert len({answer.text for answer in answers}) == 1
    replayed = [a for a in answers if a.headers.get("Idempotency-Replayed") == "true"]
    assert len(replayed) == 49
    rows = await rows_of(district, meta["id"])
    assert [event.name for event in rows.events] == ["incident.reported"]
    assert len(rows.history) == 1
    assert set(district.store.objects) == await _objects_named(district, meta["id"])
    assert len(district.store.objects) == 1


def _twin(district: District) -> District:
    """Another process on the same database and store."""
    given = district.resources.settings
    patient = DatabaseSettings(url=given.database.url, pool_size=10, pool_timeout_s=30)
    changed = given.model_copy(update={"database": patient})
    resources = Resources(
        changed, Sessions(make_engine(patient)), district.store, MemoryWakeups(), district.clock
    )
    return District(
        resources, create_app(resources), district.clock, district.store, MemoryWakeups()
    )


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    source=st.randoms(use_true_random=False),
    boundary=st.text("abcdefXYZ0123456789'()+_,-./:=?", min_size=16, max_size=60),
    names=st.permutations(["现场.png", "a b.png", "x"]),
    flipped=st.booleans(),
)
async def test_i4_the_form_of_a_repeat_does_not_matter(
    shared_district: District,
    source: random.Random,
    boundary: str,
    names: list[str],
    flipped: bool,  # noqa: FBT001 - drawn
) -> None:
    """Key order, boundary, part order and file names may all be others."""
    client = await shared_district.client(WORKER)
    files = [
        listed(body, id=f"01939e6a-0002-7000-8000-00000000000{place}")
        for place, body in enumerate(PHOTOS)
    ]
    meta = new_incident(id="01939e6a-0001-7000-8000-000000000001", attachments=files)
    first = await _post(
        client, meta, {file["id"]: b for file, b in zip(files, PHOTOS, strict=True)}
    )
    renamed = [{**file, "name": name} for file, name in zip(files, names, strict=False)]
    sections = [
        part(f'name="{file["id"]}"; filename="{source.random()}.png"', body)
        for file, body in zip(files, PHOTOS, strict=True)
    ]
    again = await client.post(
        "/v1/incidents",
        content=body_of(
            part(
                'name="meta"',
                orjson.dumps(shuffled({**meta, "attachments": renamed}, source)),
                "Content-Type: application/json",
            ),
            *(reversed(sections) if flipped else sections),
            boundary=boundary,
        ),
        headers={"Content-Type": f'multipart/form-data; boundary="{boundary}"'},
    )
    assert (again.status_code, again.json()) == (200, first.json()), again.text
