"""F28, P11, R8: a server is told to end while people hear and report, and nobody notices much."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app.core.settings import MIB
from app.simulation.fleet import Fleet, Summary, drive
from app.simulation.ledger import LedgerFile
from app.simulation.link import Patience
from tests.district import new_incident
from tests.faults.conftest import Tell
from tests.faults.hearing import Client, people_of, signed_in
from tests.faults.servers import Server
from tests.faults.telling import tell_each
from tests.faults.wire import new_report, posting, token
from tests.faults.world import WORKERS, World
from tests.incidents.paths import listed
from tests.incidents.uploading import STREAM, metadata, picture_of

STREAMS, DEPLOYS, MANY_DEPLOYS = 200, 1, 8
EXIT_S, EXIT_WITH_UPLOADS_S = 5.0, 30.0
EVENTS = 40
BACK_S = 20.0


async def test_r8_p11_f28_two_hundred_streams_and_reports_survive_a_deploy(
    world: World, tmp_path: Path, tell: Tell
) -> None:
    tell(await _deployed(world, tmp_path / "ledger.jsonl", DEPLOYS))


@pytest.mark.slow
async def test_f28_one_deploy_after_the_other(world: World, tmp_path: Path, tell: Tell) -> None:
    tell(await _deployed(world, tmp_path / "ledger.jsonl", MANY_DEPLOYS))


async def _deployed(world: World, path: Path, deploys: int) -> str:
    api = await world.serve("api", ETONG_WAKEUPS__POLL_S="1")
    await world.serve("relay")
    hears, reports = await people_of(world)
    exits: list[float] = []
    async with _listening(world, api, STREAMS) as clients:
        await _greeted(clients)
        with LedgerFile(path) as ledger:
            phones = asyncio.create_task(_phones(api, ledger, deploys))
            told: list[str] = []
            for _ in range(deploys):
                telling = asyncio.create_task(tell_each(world, [hears], EVENTS))
                exits.append(await _end(api))
                await api.start()
                told += (await telling)[hears]
            summary = await phones
        await world.drained()
        await asyncio.gather(*(client.until(len(told), BACK_S) for client in clients))
    assert reports != hears
    assert max(exits) <= EXIT_S
    for client in clients:
        assert [number for number, _ in client.log] == list(range(1, len(told) + 1))
        assert sorted(what for _, what in client.log) == sorted(told)
        # who is away while the next one begins hears nothing of it
        assert 1 <= client.byes.count("draining") <= deploys
    assert summary.made == summary.acknowledged > 0
    assert await world.violations(path) == []
    assert world.bugs() == []
    return (
        f"F28: {STREAMS} streams, {summary.made} reports, {deploys} deploys,"
        f" ended in {max(exits):.1f} s at most, lost {_lost(summary)}"
    )


async def test_f28_an_upload_under_way_is_finished_first(world: World) -> None:
    api = await world.serve("api")
    request = posting(new_report(1), await token(api.url))
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(request[:2000])
    await writer.drain()
    ending = asyncio.create_task(_end(api))
    await asyncio.sleep(2.0)
    assert not ending.done()
    writer.write(request[2000:])
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert await ending <= EXIT_WITH_UPLOADS_S
    assert await world.count("SELECT count(*) FROM incidents") == 1


@pytest.mark.slow
async def test_f28_an_upload_that_does_not_go_on_is_not_waited_for_for_ever(
    world: World, tell: Tell
) -> None:
    api = await world.serve("api")
    request = posting(new_report(1), await token(api.url))
    _, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(request[:2000])
    await writer.drain()
    took = await _end(api)
    writer.close()
    tell(f"F28: with an upload that stands still, ended in {took:.1f} s")
    assert took <= EXIT_WITH_UPLOADS_S
    assert await world.count("SELECT count(*) FROM incidents") == 0
    assert world.bugs() == []


async def test_f28_u9_an_upload_in_pieces_is_saved_at_once_and_goes_on_elsewhere(
    world: World,
) -> None:
    """It is not waited for: every byte that came is kept, the phone is told how many, and why."""
    first, second = await world.serve("api"), await world.serve("api")
    phone = {"Authorization": f"Bearer {await token(first.url)}", "Tus-Resumable": "1.0.0"}
    body = picture_of(3 * MIB)
    file = listed(body)
    report = new_incident(attachments=[file])
    told = metadata(incident_id=report["id"], attachment_id=file["id"])
    async with httpx.AsyncClient(base_url=second.url, headers=phone, trust_env=False) as link:
        assert (await link.post("/v1/incidents", json=report)).status_code == 201
        new = {"Upload-Length": str(len(body)), "Upload-Metadata": told}
        url = (await link.post("/v1/uploads", headers=new)).headers["location"]
        reader, writer = await asyncio.open_connection("127.0.0.1", first.port)
        head = (
            f"PATCH {url} HTTP/1.1\r\nHost: etong.test\r\nTus-Resumable: 1.0.0\r\n"
            f"Authorization: {phone['Authorization']}\r\nContent-Type: {STREAM}\r\n"
            f"Upload-Offset: 0\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body[:MIB])
        await writer.drain()
        await asyncio.sleep(0.5)
        took = await _end(first)
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 503 "), answer
        assert b"retry-after: " in answer.lower()
        assert f"upload-offset: {MIB}\r\n".encode() in answer.lower()
        assert took <= EXIT_S
        assert (await link.head(url)).headers["upload-offset"] == str(MIB)
        rest = {"Upload-Offset": str(MIB), "Content-Type": STREAM}
        assert (await link.patch(url, content=body[MIB:], headers=rest)).status_code == 204
        receipt = (await link.get(f"/v1/incidents/{report['id']}/receipt")).json()
        assert receipt["complete"]
    assert world.bugs() == []


async def _end(server: Server) -> float:
    """SIGTERM; how long it took."""
    began = time.monotonic()
    os.kill(server.pid, signal.SIGTERM)
    await server.ended()
    assert not server.alive
    return time.monotonic() - began


@asynccontextmanager
async def _listening(world: World, api: Server, count: int) -> AsyncIterator[list[Client]]:
    """As many terminals of the first worker."""
    person, _ = await people_of(world)
    tokens = await signed_in(world, person, count)
    clients = [Client(api.url, each) for each in tokens]
    hearing = [asyncio.create_task(client.stream()) for client in clients]
    try:
        yield clients
    finally:
        for task in hearing:
            task.cancel()
        endings = await asyncio.gather(*hearing, return_exceptions=True)
        assert [end for end in endings if not isinstance(end, asyncio.CancelledError)] == []


async def _greeted(clients: Sequence[Client]) -> None:
    async with asyncio.timeout(BACK_S):
        while not all(client.greeted for client in clients):  # noqa: ASYNC110 - by other tasks
            await asyncio.sleep(0.02)


async def _phones(api: Server, ledger: LedgerFile, deploys: int) -> Summary:
    """The second worker's; they report all the while and send again until they are answered."""
    fleet = Fleet(
        url=api.url,
        people=WORKERS[1:],
        phones=4,
        reports=5 * deploys,
        photos=1,
        pause_s=0.3,
        seconds=60.0 * deploys,
        patience=Patience(tries=200, longest_wait_s=0.5),
    )
    return await drive(fleet, ledger, lambda _: None)


def _lost(summary: Summary) -> dict[str, int]:
    return {name: count for name, count in summary.counts.items() if name.startswith("lost:")}
