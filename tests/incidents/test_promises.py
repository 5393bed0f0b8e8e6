"""R1, R9, F4: what a receipt is worth; phones that die, fall silent or dribble."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import orjson
import pytest
from sqlalchemy import text

from app.core.resources import Resources
from app.core.settings import MIB, IntakeSettings
from app.main import create_app
from app.media.in_flight import BytesInFlight
from tests.conftest import NOON
from tests.district import DatabaseServer, District, new_incident
from tests.incidents.listening import Served, head, served
from tests.incidents.paths import WORKER, form, listed, photo, rows_of, with_photo
from tests.incidents.remains import only, remains
from tests.media.wire import CONTENT_TYPE, body_of, part

PNG = photo()
BIG = PNG + bytes(5 * MIB + 4096)
"""Its first part is in the store before its end is here."""
HASTY = IntakeSettings(part_bytes=5 * MIB, idle_s=0.5)
LINKS = 200


@asynccontextmanager
async def _serving(district: District, intake: IntakeSettings) -> AsyncIterator[Served]:
    given = district.resources
    settings = given.settings.model_copy(update={"intake": intake})
    resources = Resources(settings, given.sessions, given.store, given.wakeups, given.clock)
    changed = replace(district, resources=resources, app=create_app(resources), _clients={})
    async with served(changed) as here:
        yield here


@pytest.fixture(scope="module")
async def here(shared_district: District) -> AsyncIterator[Served]:
    async with _serving(shared_district, HASTY) as here:
        yield here


# --- R1 -----------------------------------------------------------------------------------------


async def test_r1_no_receipt_leaves_before_its_row_is_committed(district: District) -> None:
    """While nobody may write to the incidents, the answer waits; it comes with the commit."""
    worker = await district.client(WORKER)
    meta, files = with_photo()
    async with district.resources.sessions.engine.connect() as other:
        await other.execute(text("LOCK TABLE incidents IN SHARE MODE"))
        sending = asyncio.create_task(worker.post("/v1/incidents", files=form(meta, files)))
        await _until_one_waits(district)
        assert not sending.done()
        await other.rollback()
    answer = await sending
    assert (answer.status_code, answer.json()["complete"]) == (201, True)
    assert (await rows_of(district, meta["id"])).incident.number == answer.json()["number"]


async def test_r1_a_commit_of_ours_waits_for_the_disk(district: District) -> None:
    sessions = district.resources.sessions
    async with sessions.begin() as session:
        assert await session.scalar(text("SHOW synchronous_commit")) == "on"
    assert await sessions.once(text("SHOW synchronous_commit"), {}) == "on"
    assert await sessions.once(text("SHOW fsync"), {}) == "on"


async def _until_one_waits(district: District) -> None:
    question = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(10):
        while not await district.resources.sessions.once(question, {}):  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.01)


# --- R9 -----------------------------------------------------------------------------------------


async def test_r9_without_the_database_nothing_is_acknowledged(
    server: DatabaseServer, district_template: str
) -> None:
    """503 with Retry-After, whatever is sent; when it is back, the same report is taken."""
    name = server.create(template=district_template)
    async with District.opened(server.url(name), NOON) as district:
        worker = await district.client(WORKER)
        meta, files = with_photo()
        server.allow(name, connections=False)
        for answer in (
            await worker.post("/v1/incidents", files=form(meta, files)),
            await worker.post("/v1/incidents", json=meta),
            await worker.get(f"/v1/incidents/{meta['id']}/receipt"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) > 0
        server.allow(name, connections=True)
        taken = await worker.post("/v1/incidents", files=form(meta, files))
        assert (taken.status_code, taken.json()["complete"]) == (201, True)
    server.drop(name)


# --- F4 -----------------------------------------------------------------------------------------


async def _expected(here: Served, body: bytes) -> str:
    """The path of a file that a report still expects."""
    receipt = await here.district.report(attachments=[listed(body)])
    return f"/v1/incidents/{receipt['id']}/attachments/{receipt['attachments'][0]['id']}"


@pytest.mark.parametrize("cut", [0, 1, 10_000, 5 * MIB + 1000])
async def test_f4_a_phone_that_dies_in_mid_upload_leaves_the_file_expected(
    here: Served, cut: int
) -> None:
    """Nothing of its bytes stays, a part in the store or not; sent again it is whole."""
    path = await _expected(here, BIG)
    before = await remains(here.district)
    announced = {"authorization": await here.bearer(), "content_length": str(len(BIG))}
    async with here.wire() as wire:
        await wire.send(head(f"PUT {path}", **announced), BIG[:cut])
        if cut > 5 * MIB:
            await _until_an_upload_runs(here)
        wire.hang_up()
    assert await only(here.district, before)
    answer = await here.ask(head(f"PUT {path}", **announced), BIG)
    assert (answer.status, answer.json["complete"]) == (201, True)


@pytest.mark.parametrize("said", [0, 40, 1500, 5 * MIB + 1000])
async def test_f4_a_silent_sender_is_told_and_ended(here: Served, said: int) -> None:
    meta, body = _report()
    path = await _expected(here, BIG)
    login = {"authorization": await here.bearer()}
    before = await remains(here.district)
    for target, kind, whole in (
        ("POST /v1/incidents", CONTENT_TYPE, body),
        (f"PUT {path}", "application/octet-stream", BIG),
        ("POST /v1/incidents", "application/json", meta),
    ):
        request = head(target, **login, content_type=kind, content_length=str(len(whole)))
        async with here.wire() as wire:
            await wire.send(request, whole[: min(said, len(whole) - 1)])
            answer = await wire.answer()
            assert answer.told == (408, "request-timeout")
            assert answer.headers["connection"] == "close"
            assert await wire.closed()
        assert await only(here.district, before)


async def test_f4_dribbling_links_hold_no_connection_and_little_memory(
    shared_district: District,
) -> None:
    """And nobody else waits for them."""
    async with (
        _serving(shared_district, IntakeSettings()) as here,
        AsyncExitStack() as links,
    ):
        login = {"authorization": await here.bearer()}
        meta, body = _report()
        begun = body[: len(meta) + 1000]
        announced = {"content_type": CONTENT_TYPE, "content_length": str(len(body))}
        wires = [await links.enter_async_context(here.wire()) for _ in range(LINKS)]
        for wire in wires:
            await wire.send(head("POST /v1/incidents", **login, **announced), begun)
        for _ in range(10):
            for wire in wires:
                await wire.send(b"x")
            assert (await here.ask(head("GET /v1/me", **login))).status == 200
        pool = here.district.resources.sessions.engine.pool
        async with asyncio.timeout(5):
            # the last answer leaves a moment before its connection is given back
            while pool.checkedout():  # type: ignore[attr-defined]  # noqa: ASYNC110 - a pool tells nobody
                await asyncio.sleep(0.01)
        assert 0 < here.district.resources.the(BytesInFlight).used < LINKS * 1500


def _report() -> tuple[bytes, bytes]:
    """Meta with one large file, and the whole multipart body."""
    report = new_incident(attachments=[listed(BIG)])
    meta = orjson.dumps(report)
    file = report["attachments"][0]["id"]
    named = part('name="meta"', meta, "Content-Type: application/json")
    return meta, body_of(named, part(f'name="{file}"; filename="a.png"', BIG))


async def _until_an_upload_runs(here: Served) -> None:
    async with asyncio.timeout(10):
        while not here.district.store.uploads:  # noqa: ASYNC110 - the double announces nothing
            await asyncio.sleep(0.01)
