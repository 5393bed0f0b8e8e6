"""F1, F7: links that are cut at every place; the phone repeats plainly."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from app.simulation.cut_proxy import CutProxy, Fault, always
from app.simulation.ledger import LedgerFile
from app.simulation.reports import MadeReport, phone_camera
from tests.faults.conftest import Tell
from tests.faults.servers import Server
from tests.faults.wire import new_report, note, posting, send, send_until_answered, token
from tests.faults.world import WORKERS, World

SAMPLED, SAMPLED_BODIES = 30, 4
BODIES = 40
PHOTOS = 2
"""Of a report that is cut in its body, as large as a phone's."""
AT_ONCE = 4
_DIGITS = 8
"""By so much the answer to one report may be longer than that to another."""
_COUNTED_S = 10.0


async def test_f1_every_cut_is_settled_by_a_plain_repeat(
    world: World, tmp_path: Path, tell: Tell
) -> None:
    tell(await _walk(world, tmp_path, SAMPLED, SAMPLED_BODIES))


@pytest.mark.slow
async def test_f1_every_cut_of_the_whole_walk(world: World, tmp_path: Path, tell: Tell) -> None:
    tell(await _walk(world, tmp_path, None, BODIES))


async def _walk(world: World, folder: Path, sampled: int | None, bodies: int) -> str:
    began = time.monotonic()
    api = await world.serve("api")
    relay = await world.serve("relay")
    signed = await token(api.url)
    request, answer = await _sizes(api, signed)
    cuts = _sample([Fault(cut_answer_after=n) for n in range(0, answer - _DIGITS, 5)], sampled)
    cuts += _sample([Fault(cut_request_after=n) for n in range(0, request, 10)], sampled)
    reports = len(cuts) + bodies
    with LedgerFile(folder / "ledger.jsonl") as ledger:
        walk = _Walk(api, signed, ledger)
        await walk.all(cuts)
        await walk.bodies(bodies)
        await world.drained()
        heard = await world.hears_everything(api, WORKERS[0], ledger)
    assert walk.lost == reports
    assert heard >= 2 * reports  # that it was received, and who has it now
    assert await world.count("SELECT count(*) FROM incidents") == reports + 1
    assert await world.violations(folder / "ledger.jsonl") == []
    swept = await world.swept()
    # one set each: the one that the rows name
    assert await world.objects() == len(cuts) + bodies * PHOTOS + 1
    assert world.bugs() == []
    assert relay.alive
    seconds = time.monotonic() - began
    return f"F1: {reports} cuts, {dict(walk.statuses)}, {swept} strays swept, {seconds:.0f} s"


async def _sizes(api: Server, signed: str) -> tuple[int, int]:
    """Bytes of a whole request and of its answer."""
    request = posting(new_report(0), signed)
    answer = await send(api.url, request)
    assert answer is not None
    assert answer.status == 201, answer.body
    return len(request), answer.size


def _sample(cuts: Sequence[Fault], most: int | None) -> list[Fault]:
    """Both ends always, and what lies between at random."""
    if most is None or len(cuts) <= most:
        return list(cuts)
    return [cuts[0], *random.sample(cuts[1:-1], most - 2), cuts[-1]]


class _Walk:
    """Each cut gets a report of its own: sent through the proxy, then repeated past it."""

    def __init__(self, api: Server, signed: str, ledger: LedgerFile) -> None:
        self.lost = 0
        self.statuses: Counter[str] = Counter()
        self._api = api
        self._token = signed
        self._ledger = ledger
        self._free = asyncio.Semaphore(AT_ONCE)

    async def all(self, cuts: Sequence[Fault]) -> None:
        async with asyncio.TaskGroup() as group:
            for number, fault in enumerate(cuts, start=1):
                group.create_task(self._one(fault, new_report(number)))

    async def bodies(self, count: int) -> None:
        for number in range(count):
            made = await asyncio.to_thread(new_report, number, PHOTOS, phone_camera)
            at = random.randrange(len(posting(made, self._token)))  # noqa: S311 - a place to cut
            await self._one(Fault(cut_request_after=at), made)

    async def _one(self, fault: Fault, made: MadeReport) -> None:
        request = posting(made, self._token)
        if fault.cut_request_after is not None:  # this one may be shorter than the measured one
            fault = Fault(cut_request_after=min(fault.cut_request_after, len(request) - 1))
        async with self._free, CutProxy(self._api.url, always(fault)) as proxy:
            first = await send(proxy.url, request)
            again = await send_until_answered(self._api.url, request)
        self.lost += first is None
        note(self._ledger, made, again)
        assert again.json["complete"] is True
        replayed = again.headers.get("idempotency-replayed")
        assert (again.status, replayed) in {(201, None), (200, "true")}
        if fault.cut_answer_after is not None:  # it had been given: this is its repeat
            assert replayed == "true", again.headers
        where = "request" if fault.cut_answer_after is None else "answer"
        self.statuses[f"{where} cut, repeat {again.status}"] += 1


async def test_f7_a_client_that_leaves_is_no_bug(world: World) -> None:
    api = await world.serve("api")
    signed = await token(api.url)
    request = posting(new_report(1, photos=2), signed)
    for after in (10, 300, len(request) - 1500, len(request) - 1):
        # in pieces: what has come before the cut has been worked on
        fault = Fault(cut_request_after=after, piece=256, pause_s=0.02)
        async with CutProxy(api.url, always(fault)) as proxy:
            assert await send(proxy.url, request) is None
    # two had not even finished their headers
    await _counts_departures(api, 2)
    answer = await send_until_answered(api.url, request)
    assert answer.status == 201
    await api.stop()
    left = api.events("client_left")
    assert [(line["level"], line["route"]) for line in left] == [("info", "/v1/incidents")] * 2
    assert world.bugs() == []
    assert b"Traceback" not in api.log.read_bytes()
    assert await world.swept() == 0  # M4: what had come of them was removed at once
    assert await world.objects() == 2


async def _counts_departures(api: Server, wanted: int) -> None:
    """Until its metrics say so."""
    line = f'http_clients_left_total{{route="/v1/incidents"}} {float(wanted)}'
    deadline = time.monotonic() + _COUNTED_S
    async with httpx.AsyncClient(base_url=api.url, trust_env=False) as client:
        while line not in (said := (await client.get("/metrics")).text):
            assert time.monotonic() < deadline, said
            await asyncio.sleep(0.02)


async def test_f1_a_request_that_the_network_doubles_is_one_report(
    world: World, tmp_path: Path
) -> None:
    api = await world.serve("api")
    await world.serve("relay")
    signed = await token(api.url)
    async with CutProxy(api.url, always(Fault(copies=3))) as proxy:
        with LedgerFile(tmp_path / "ledger.jsonl") as ledger:
            for number in range(6):
                made = new_report(number)
                note(ledger, made, await send_until_answered(proxy.url, posting(made, signed)))
    await world.drained()
    assert await world.count("SELECT count(*) FROM incidents") == 6
    assert await world.violations(tmp_path / "ledger.jsonl") == []
    await world.swept()
    assert await world.objects() == 6


async def test_f6_a_dribbling_link_gets_its_report_through(world: World) -> None:
    api = await world.serve("api")
    signed = await token(api.url)
    fault = Fault(piece=64, pause_s=0.005)
    async with CutProxy(api.url, always(fault)) as proxy:
        answer = await send(proxy.url, posting(new_report(1), signed))
    assert answer is not None
    assert (answer.status, answer.json["complete"]) == (201, True)
