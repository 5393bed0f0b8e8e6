"""F12: the link between the server and its database is cut at every place of a report."""

import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import func, make_url, select

from app.incidents.models import Incident
from app.media.sweeping import STRAY_AFTER, sweep
from app.simulation.cut_proxy import SOUND, CutProxy, always
from app.simulation.reports import MadeReport
from app.system.invariants import ROUTED_WITHIN, check_all
from tests.conftest import NOON
from tests.district import DatabaseServer, District
from tests.faults.conftest import Tell
from tests.faults.wire import new_report

SAMPLED, MANY = 40, 500
_COMMITS = 20
"""Bytes at the end of a request's answers: the commit's is among them."""

Request = Callable[[MadeReport], Awaitable[httpx.Response]]


@dataclass
class Behind:
    """The district, with a proxy between it and its database."""

    district: District
    proxy: CutProxy
    tell: Tell
    reports: int = 0

    async def post(self, made: MadeReport) -> httpx.Response:
        worker = await self.district.client("worker-yonghong")
        headers = {"Content-Type": made.content_type}
        return await worker.post("/v1/incidents", content=made.multipart(), headers=headers)

    async def post_text(self, made: MadeReport) -> httpx.Response:
        worker = await self.district.client("worker-yonghong")
        headers = {"Content-Type": "application/json"}
        return await worker.post("/v1/incidents", content=made.meta, headers=headers)

    async def put_photo(self, made: MadeReport) -> httpx.Response:
        worker = await self.district.client("worker-yonghong")
        (photo,) = made.photos
        path = f"/v1/incidents/{made.id}/attachments/{photo.id}"
        return await worker.put(path, content=photo.body, headers={"Content-Type": "image/jpeg"})

    def made(self) -> MadeReport:
        self.reports += 1
        return new_report(self.reports)


@pytest.fixture
async def behind(
    server: DatabaseServer, district_template: str, tell: Tell
) -> AsyncIterator[Behind]:
    name = server.create(template=district_template)
    url = make_url(server.url(name))
    async with CutProxy(f"http://127.0.0.1:{url.port}", always(SOUND)) as proxy:
        through = url.set(host="127.0.0.1", port=httpx.URL(proxy.url).port)
        whole = through.render_as_string(hide_password=False)
        async with District.opened(whole, NOON) as district:
            yield Behind(district, proxy, tell)
    server.drop(name)


async def test_f12_a_lost_answer_of_the_database_is_settled_by_a_repeat(behind: Behind) -> None:
    codes = await _walk_reports(behind, SAMPLED)
    assert codes["outcome-unknown"] > 0


@pytest.mark.slow
async def test_f12_many_cuts_of_a_report(behind: Behind) -> None:
    codes = await _walk_reports(behind, MANY)
    assert codes["outcome-unknown"] > 0


async def test_f12_a_late_file_whose_commit_is_lost_is_settled_by_a_repeat(behind: Behind) -> None:
    """Several statements: before the COMMIT it is known that nothing was stored."""
    codes = await _walk_late_files(behind, SAMPLED)
    assert codes["outcome-unknown"] > 0
    assert codes["unavailable"] > 0


@pytest.mark.slow
async def test_f12_many_cuts_of_a_late_file(behind: Behind) -> None:
    codes = await _walk_late_files(behind, MANY)
    assert codes["outcome-unknown"] > 0
    assert codes["unavailable"] > 0


async def _walk_reports(behind: Behind, sampled: int) -> Counter[Any]:
    async def ready() -> MadeReport:
        return behind.made()

    return await _walk(behind, ready, behind.post, sampled)


async def _walk_late_files(behind: Behind, sampled: int) -> Counter[Any]:
    async def ready() -> MadeReport:
        made = behind.made()
        assert (await _until_answered(behind, behind.post_text, made)).json()["complete"] is False
        return made

    return await _walk(behind, ready, behind.put_photo, sampled)


async def _walk(
    behind: Behind,
    ready: Callable[[], Awaitable[MadeReport]],
    request: Request,
    sampled: int,
) -> Counter[Any]:
    """A request for each cut, and its repeat on a sound link; the codes of those refused."""
    began = time.monotonic()
    codes: Counter[Any] = Counter()
    for cut in await _cuts(behind, ready, request, sampled):
        made = await ready()
        behind.proxy.cut_answers_after(cut)
        first = await request(made)
        behind.proxy.cut_answers_after(None)
        if first.status_code >= 300:
            assert first.status_code == 503, first.text
            assert first.headers["retry-after"]
            codes[first.json()["code"]] += 1
        again = await _until_answered(behind, request, made)
        assert again.json()["complete"] is True
    await _all_is_well(behind)
    seconds = time.monotonic() - began
    behind.tell(
        f"F12: {behind.reports} reports, {behind.proxy.cuts} cuts, {dict(codes)}, {seconds:.0f} s"
    )
    return codes


async def _cuts(
    behind: Behind,
    ready: Callable[[], Awaitable[MadeReport]],
    request: Request,
    sampled: int,
) -> list[int]:
    """Bytes the database answers to one such request, from a sound one."""
    for _ in range(3):  # connections, statements and caches are warm then
        made = await ready()
        before = behind.proxy.answered
        assert (await request(made)).status_code == 201
    whole = range(behind.proxy.answered - before)
    if len(whole) <= sampled:
        return list(whole)
    # the end closely, the rest at random
    return [*random.sample(whole[:-_COMMITS], sampled - _COMMITS), *whole[-_COMMITS:]]


async def _until_answered(behind: Behind, request: Request, made: MadeReport) -> httpx.Response:
    for _ in range(behind.district.resources.settings.database.pool_size + 1):
        answer = await request(made)
        if answer.status_code < 300:
            return answer
        assert answer.status_code == 503, answer.text
    raise AssertionError(answer.text)


async def _all_is_well(behind: Behind) -> None:
    district = behind.district
    await district.drain()
    district.clock.advance(ROUTED_WITHIN * 2)
    async with district.resources.sessions.read() as session:
        assert await check_all(session, district.clock.now()) == []
        held = await session.scalar(select(func.count()).select_from(Incident))
    assert held == behind.reports
    district.clock.advance(STRAY_AFTER)
    await sweep(district.resources)
    assert len(district.store.objects) == behind.reports
