"""Reports that are refused: why is said, and nothing of the attempt stays."""

import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import func, select

from app.core.db import new_id
from app.core.events import OutboxRow
from app.incidents.models import HistoryEntry, Incident, IncidentMedia
from app.media.models import MediaFile
from tests.district import District, new_incident
from tests.incidents.paths import WORKER, form, listed, photo, with_photo
from tests.media.wire import CONTENT_TYPE, body_of, part

V1_UUID = "c232ab00-9414-11ec-b3c8-9f6bdeced846"
NIL_UUID = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def worker(shared_district: District) -> httpx.AsyncClient:
    return await shared_district.client(WORKER)


async def _counts(district: District) -> list[int]:
    async with district.resources.sessions.read() as session:
        tables = (Incident, IncidentMedia, MediaFile, HistoryEntry, OutboxRow)
        return [
            await session.scalar(select(func.count()).select_from(table)) or 0 for table in tables
        ]


@pytest.fixture(autouse=True)
async def _nothing_stays(shared_district: District) -> AsyncIterator[None]:
    """Every test of this module is about a refusal: no row, no object, no unfinished upload."""
    rows, objects = await _counts(shared_district), set(shared_district.store.objects)
    yield
    assert await _counts(shared_district) == rows
    assert set(shared_district.store.objects) == objects
    assert not shared_district.store.uploads


def _is(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_nobody_reports_without_signing_in(shared_district: District) -> None:
    async with shared_district.anonymous() as anonymous:
        _is(await anonymous.post("/v1/incidents", json=new_incident()), 401, "unauthenticated")


@pytest.mark.parametrize("who", ["police-liuhu", "auditor", "admin", "supervisor-kongtong"])
async def test_reporting_is_not_for_every_role(shared_district: District, who: str) -> None:
    client = await shared_district.client(who)
    _is(await client.post("/v1/incidents", json=new_incident()), 403, "forbidden")


@pytest.mark.parametrize("id_", [V1_UUID, NIL_UUID, "17", ""])
async def test_i1_ids_that_are_not_of_version_4_or_7_are_refused(
    worker: httpx.AsyncClient, id_: str
) -> None:
    answer = await worker.post("/v1/incidents", json=new_incident(id=id_))
    _is(answer, 400, "incident-id-invalid")


async def test_i1_a_report_without_an_id_is_refused(worker: httpx.AsyncClient) -> None:
    meta = new_incident()
    del meta["id"]
    refused = _is(await worker.post("/v1/incidents", json=meta), 422, "validation-failed")
    assert refused["errors"][0]["pointer"] == "/id"


async def test_i1_attachment_ids_are_held_to_the_same(worker: httpx.AsyncClient) -> None:
    meta = new_incident(attachments=[listed(b"x", id=V1_UUID)])
    _is(await worker.post("/v1/incidents", json=meta), 422, "validation-failed")


async def test_i2_another_key_than_the_id_is_refused(worker: httpx.AsyncClient) -> None:
    meta, files = with_photo()
    for key in (str(new_id()), f'"{new_id()}"', "nonsense"):
        headers = {"Idempotency-Key": key}
        for answer in (
            await worker.post("/v1/incidents", json=meta, headers=headers),
            await worker.post("/v1/incidents", files=form(meta, files), headers=headers),
        ):
            _is(answer, 400, "idempotency-key-mismatch")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"urgency": "huge"}, "/urgency"),
        ({"text": "  "}, "/text"),
        ({"text": "字" * 5001}, "/text"),
        ({"surprise": 1}, "/surprise"),
        ({"place": {"lon": 106.7}}, "/place"),
        ({"place": {"lon": 200, "lat": 35}}, "/place/lon"),
        ({"occurred_at": "2026-03-11T04:00:00"}, "/occurred_at"),
        ({"attachments": [listed(b"x")] * 2}, ""),
        ({"self_handled": {"outcome": "已处理", "attachments": []}}, "/self_handled/attachments"),
        ({"self_handled": {"outcome": "已处理", "attachments": [str(new_id())]}}, ""),
    ],
)
async def test_i7_what_is_not_valid_is_named(
    worker: httpx.AsyncClient, changes: dict[str, Any], pointer: str
) -> None:
    answer = await worker.post("/v1/incidents", json=new_incident(**changes))
    refused = _is(answer, 422, "validation-failed")
    assert refused["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"category": "9876"}, "category-unknown"),
        ({"place": {"grid_code": "no-grid"}}, "place-unknown"),
        ({"reported_for": str(new_id())}, "reporter-unknown"),
    ],
)
async def test_what_does_not_exist_is_named(
    worker: httpx.AsyncClient, changes: dict[str, Any], code: str
) -> None:
    _is(await worker.post("/v1/incidents", json=new_incident(**changes)), 422, code)


async def test_m2_meta_must_be_first(worker: httpx.AsyncClient) -> None:
    meta, files = with_photo()
    parts = form(meta, files)
    for body in (list(reversed(parts)), parts[1:], [("other", parts[0][1]), *parts]):
        _is(await worker.post("/v1/incidents", files=body), 400, "meta-must-be-first")


async def test_m2_meta_must_be_json_and_small(worker: httpx.AsyncClient) -> None:
    meta, _ = with_photo()
    plain = [("meta", (None, orjson.dumps(meta), "text/plain"))]
    _is(await worker.post("/v1/incidents", files=plain), 400, "meta-must-be-first")
    huge = form(meta | {"text": "字" * 30_000}, {})
    assert (await worker.post("/v1/incidents", files=huge)).status_code == 413


@pytest.mark.parametrize("cut", [3, 20, 60, 400, 600])
async def test_m4_truncated_body_leaves_nothing(worker: httpx.AsyncClient, cut: int) -> None:
    """The closing boundary is cut, then a file's head, a file, another file, the meta itself."""
    files = [listed(photo(1)), listed(photo(2))]
    meta = new_incident(attachments=files)
    whole = body_of(
        part('name="meta"', orjson.dumps(meta), "Content-Type: application/json"),
        *(
            part(f'name="{file["id"]}"; filename="a.png"', photo(seed), "Content-Type: image/png")
            for seed, file in enumerate(files, start=1)
        ),
    )
    kept = whole[:-cut] if cut < 600 else whole[:cut]
    answer = await worker.post(
        "/v1/incidents", content=kept, headers={"Content-Type": CONTENT_TYPE}
    )
    _is(answer, 400, "multipart-truncated")


async def test_m9_files_that_differ_are_all_named_and_nothing_is_accepted(
    worker: httpx.AsyncClient,
) -> None:
    bodies = [photo(seed) for seed in range(3)]
    files = [
        listed(bodies[0]),
        listed(bodies[1], sha256="0" * 64),
        listed(bodies[2], size=len(bodies[2]) + 1),
    ]
    meta = new_incident(attachments=files)
    sent = form(meta, {file["id"]: body for file, body in zip(files, bodies, strict=True)})
    refused = _is(await worker.post("/v1/incidents", files=sent), 422, "attachments-differ")
    assert refused["attachments"] == [files[1]["id"], files[2]["id"]]


async def test_m9_content_digest_that_differs_is_refused(worker: httpx.AsyncClient) -> None:
    meta, files = with_photo()
    wrong = {"Content-Digest": f"sha-256=:{b64encode(hashlib.sha256(b'x').digest()).decode()}:"}
    for answer in (
        await worker.post("/v1/incidents", files=form(meta, files), headers=wrong),
        await worker.post("/v1/incidents", json=meta, headers=wrong),
    ):
        _is(answer, 400, "digest-mismatch")


async def test_m8_a_file_that_is_not_listed_or_comes_twice_is_refused(
    worker: httpx.AsyncClient,
) -> None:
    meta, files = with_photo()
    ((attachment, body),) = files.items()
    stranger = form(meta, {**files, str(new_id()): body})
    _is(await worker.post("/v1/incidents", files=stranger), 422, "attachment-not-listed")
    nameless = form(meta, {**files, "现场": body})
    _is(await worker.post("/v1/incidents", files=nameless), 422, "attachment-not-listed")
    twice = [*form(meta, files), (attachment, ("again.png", body, "image/png"))]
    _is(await worker.post("/v1/incidents", files=twice), 422, "attachment-repeated")


async def test_m12_a_file_that_is_no_picture_is_refused(worker: httpx.AsyncClient) -> None:
    page = b"<html><script>alert(1)</script></html>"
    meta, files = with_photo(page)
    assert (await worker.post("/v1/incidents", files=form(meta, files))).status_code == 415


async def test_another_content_type_is_refused(worker: httpx.AsyncClient) -> None:
    for kind in ("text/plain", "application/xml", ""):
        answer = await worker.post("/v1/incidents", content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code == 415, kind
