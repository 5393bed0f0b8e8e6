"""F3, I4: a repeat whose bytes were changed on the way is refused, or is the same report."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app.incidents.models import Incident, IncidentMedia
from app.media.models import MediaFile
from app.simulation.reports import MadeReport
from tests.district import District
from tests.faults.wire import new_report

_EXAMPLES = 60
_PLACES = st.floats(0, 1, exclude_max=True)


@dataclass
class Told:
    """The report that came first, and what the server has of it."""

    made: MadeReport
    held: dict[str, Any]
    answers: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
async def told(shared_district: District) -> Told:
    made = new_report(1, photos=2)
    first = await _post(shared_district, made.multipart(), made)
    assert first.status_code == 201
    return Told(made, await _held(shared_district, made.id))


async def test_f3_other_words_are_refused_and_another_form_is_the_same_report(
    shared_district: District, told: Told
) -> None:
    """What the properties below may meet, each met once."""
    body = told.made.multipart()
    await _repeat(shared_district, told, body.replace("模拟".encode(), "演习".encode()))
    assert told.answers.pop("idempotency-key-reused") == 1
    turned = orjson.dumps(dict(reversed(orjson.loads(told.made.meta).items())))
    await _repeat(shared_district, told, body.replace(told.made.meta, turned))
    assert told.answers.pop("replayed") == 1
    assert not told.answers


_property = settings(
    max_examples=_EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@_property
@given(place=_PLACES, taken=st.integers(0, 8), put=st.binary(max_size=8))
async def test_f3_changed_bytes_of_a_repeat_never_change_what_came_first(
    shared_district: District, told: Told, place: float, taken: int, put: bytes
) -> None:
    """Some bytes are taken out at some place, and others put there."""
    body = told.made.multipart()
    at = int(place * len(body))
    await _repeat(shared_district, told, body[:at] + put + body[at + taken :])


@_property
@given(place=_PLACES, taken=st.integers(0, 3), put=st.text("0369acef,件上报 ", max_size=3))
async def test_f3_changed_words_of_a_repeat_never_change_what_came_first(
    shared_district: District, told: Told, place: float, taken: int, put: str
) -> None:
    """As above with letters of `meta`, most of which leave it one."""
    meta = told.made.meta.decode()
    at = int(place * len(meta))
    changed = (meta[:at] + put + meta[at + taken :]).encode()
    await _repeat(shared_district, told, told.made.multipart().replace(told.made.meta, changed, 1))


async def _repeat(district: District, told: Told, body: bytes) -> None:
    _judge(told, await _post(district, body, told.made))
    assert await _held(district, told.made.id) == told.held


def _judge(told: Told, answer: httpx.Response) -> None:
    """The first receipt again, a refusal, or, where the id itself was hit, another report."""
    receipt = answer.json()
    if answer.status_code < 300:
        same = receipt["id"] == str(told.made.id)
        assert (answer.status_code, receipt.get("number") == told.held["number"]) == (
            (200, True) if same else (201, False)
        )
        told.answers["replayed" if same else "another"] += 1
    else:
        assert 400 <= answer.status_code < 500, answer.text
        told.answers[receipt["code"]] += 1


async def _post(district: District, body: bytes, made: MadeReport) -> httpx.Response:
    worker = await district.client("worker-yonghong")
    headers = {"Content-Type": made.content_type}
    return await worker.post("/v1/incidents", content=body, headers=headers)


async def _held(district: District, id_: UUID) -> dict[str, Any]:
    """The incident, its files and its objects; objects of no report are left by nobody."""
    async with district.resources.sessions.read() as session:
        incident = await session.get_one(Incident, id_)
        links = await session.execute(
            select(
                IncidentMedia.attachment_id,
                IncidentMedia.name,
                IncidentMedia.state,
                MediaFile.object_key,
                MediaFile.sha256,
            )
            .join(MediaFile, MediaFile.id == IncidentMedia.media_id, isouter=True)
            .where(IncidentMedia.incident_id == id_)
            .order_by(IncidentMedia.position)
        )
        named = set(await session.scalars(select(MediaFile.object_key)))
    assert set(district.store.objects) == named
    row = {column.key: getattr(incident, column.key) for column in Incident.__table__.columns}
    return {**row, "files": [tuple(link) for link in links]}
