"""F8, R9: without the object store the text is taken, its files are asked for, and come later."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from app.core.breaker import Breaker
from app.embedded.store import EmbeddedStore
from app.simulation.ledger import LedgerFile
from app.simulation.link import Account, Link, Patience
from app.simulation.phone import Phone
from app.simulation.reports import MadeReport, quick_camera
from tests.district import DatabaseServer, District
from tests.faults.sabotage import replace_everywhere
from tests.faults.wire import Answer, new_report, note, posting, putting, send, token
from tests.faults.world import WORKERS, World

BACK_S = 30.0


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path / "store")
    store.start()
    yield store
    store.stop()


@pytest.fixture
async def fragile(
    server: DatabaseServer, district_template: str, own_store: EmbeddedStore, tmp_path: Path
) -> AsyncIterator[World]:
    """A world whose store may be stopped."""
    name = server.create(template=district_template)
    async with World.opened(server.url(name), own_store, tmp_path) as world:
        yield world
    server.drop(name)


async def test_f8_reports_without_the_store_are_taken_and_completed_later(
    fragile: World, own_store: EmbeddedStore, tmp_path: Path
) -> None:
    """By a late file, by the same body again, and as a phone lives it, which nobody tells when."""
    api = await fragile.serve("api", _probe_often)
    await fragile.serve("relay")
    signed = await token(api.url)
    by_put, by_repeat = new_report(1), new_report(2, photos=2)
    with LedgerFile(tmp_path / "ledger.jsonl") as ledger:
        async with _signed_in(api.url, ledger) as (phone, link):
            await asyncio.to_thread(own_store.stop)
            for made in (by_put, by_repeat):
                told = await _answered(api.url, posting(made, signed))
                assert (told.status, told.json["complete"]) == (201, False)
                assert {item["state"] for item in told.json["attachments"]} == {"expected"}
                note(ledger, made, told)
            late = await _answered(api.url, putting(by_put, 0, signed))
            assert (late.status, late.json["code"]) == (503, "unavailable")
            assert late.headers["retry-after"]
            reporting = asyncio.create_task(phone.report(await phone.make(1, 2, quick_camera)))
            await _was_told_to_wait(link)

            await asyncio.to_thread(own_store.start)
            brought = await _brought(api.url, putting(by_put, 0, signed))
            assert (brought.status, brought.json["complete"]) == (201, True)
            note(ledger, by_put, brought)
            again = await _answered(api.url, posting(by_repeat, signed))
            assert (again.status, again.json["complete"]) == (200, True)
            assert again.headers["idempotency-replayed"] == "true"
            note(ledger, by_repeat, again)
            assert await reporting
    await fragile.drained()
    assert await fragile.violations(tmp_path / "ledger.jsonl") == []
    assert await fragile.swept() == 0
    assert await fragile.objects() == 5
    assert fragile.bugs() == []


def _probe_often() -> None:
    """How long the breaker stays open is not what is looked at here."""
    replace_everywhere(Breaker, partial(Breaker, open_s=0.5))


@asynccontextmanager
async def _signed_in(url: str, ledger: LedgerFile) -> AsyncIterator[tuple[Phone, Link]]:
    async with Link(url, Account(*WORKERS[0]), Patience(longest_wait_s=0.5)) as link:
        phone = Phone(link, ledger)
        await phone.sign_in()
        yield phone, link


async def _answered(url: str, request: bytes) -> Answer:
    answer = await send(url, request)
    assert answer is not None
    return answer


async def _was_told_to_wait(link: Link) -> None:
    deadline = time.monotonic() + BACK_S
    while not link.counts["lost:503"]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def _brought(url: str, request: bytes) -> Answer:
    """Once the server has found out that the store is back."""
    deadline = time.monotonic() + BACK_S
    while (answer := await _answered(url, request)).status == 503:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    return answer


@pytest.mark.parametrize("every", [1, 2, 3, 4, 5])
async def test_f8_a_store_that_refuses_each_kth_call(district: District, every: int) -> None:
    worker = await district.client("worker-yonghong")
    made = new_report(every, photos=3)
    district.store.fail_every = every
    first = await _post(worker, made)
    assert first.status_code == 201, first.text
    assert first.json()["complete"] is False or every > 1
    district.store.fail_every = 0
    again = await _post(worker, made)
    assert (again.status_code, again.json()["complete"]) == (200, True)
    states = {item["id"]: item["sha256"] for item in again.json()["attachments"]}
    assert states == {str(photo.id): photo.sha256 for photo in made.photos}


async def _post(client: httpx.AsyncClient, made: MadeReport) -> httpx.Response:
    headers = {"Content-Type": made.content_type}
    return await client.post("/v1/incidents", content=made.multipart(), headers=headers)
