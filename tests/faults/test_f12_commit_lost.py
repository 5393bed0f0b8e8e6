"""F12: the link between the server and its database is cut at every place of a report."""

import random
from collections import Counter
from collections.abc import AsyncIterator
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
from tests.faults.wire import new_report

SAMPLED = 60
STEP = 1


@dataclass
class Behind:
    """The district, with a proxy between it and its database."""

    district: District
    proxy: CutProxy
    reports: int = 0

    async def post(self, made: MadeReport) -> httpx.Response:
        worker = await self.district.client("worker-yonghong")
        headers = {"Content-Type": made.content_type}
        return await worker.post("/v1/incidents", content=made.multipart(), headers=headers)

    def made(self) -> MadeReport:
        self.reports += 1
        return new_report(self.reports)


@pytest.fixture
async def behind(server: DatabaseServer, district_template: str) -> AsyncIterator[Behind]:
    name = server.create(template=district_template)
    url = make_url(server.url(name))
    async with CutProxy(f"http://127.0.0.1:{url.port}", always(SOUND)) as proxy:
        through = url.set(host="127.0.0.1", port=httpx.URL(proxy.url).port)
        whole = through.render_as_string(hide_password=False)
        async with District.opened(whole, NOON) as district:
            yield Behind(district, proxy)
    server.drop(name)


async def test_f12_a_lost_answer_of_the_database_is_settled_by_a_repeat(behind: Behind) -> None:
    await _walk(behind, SAMPLED)


@pytest.mark.slow
async def test_f12_every_cut_of_the_whole_walk(behind: Behind) -> None:
    await _walk(behind, None)


async def _walk(behind: Behind, sampled: int | None) -> None:
    codes: Counter[Any] = Counter()
    for cut in await _cuts(behind, sampled):
        made = behind.made()
        behind.proxy.cut_answers_after(cut)
        first = await behind.post(made)
        behind.proxy.cut_answers_after(None)
        if first.status_code >= 300:
            assert first.status_code == 503, first.text
            assert first.headers["retry-after"]
            codes[first.json()["code"]] += 1
        again = await _until_answered(behind, made)
        assert again.json()["complete"] is True
    assert codes["outcome-unknown"] > 0
    assert codes["unavailable"] > 0
    await _all_is_well(behind)
    print(f"F12: {behind.reports} reports, {behind.proxy.cuts} cuts, {codes}")  # noqa: T201 - seen with -s


async def _cuts(behind: Behind, sampled: int | None) -> list[int]:
    """Bytes the database answers to one report, from a sound one."""
    for _ in range(3):  # connections, statements and caches are warm then
        before = behind.proxy.answered
        assert (await behind.post(behind.made())).status_code == 201
    whole = range(0, behind.proxy.answered - before, STEP)
    if sampled is None or len(whole) <= sampled:
        return list(whole)
    # the end, where the commit's answer is, closely; the rest at random
    return [*random.sample(whole[:-20], sampled - 20), *whole[-20:]]


async def _until_answered(behind: Behind, made: MadeReport) -> httpx.Response:
    for _ in range(behind.district.resources.settings.database.pool_size + 1):
        answer = await behind.post(made)
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
