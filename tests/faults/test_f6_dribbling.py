"""F6, U18: a crowd of links that dribble or say nothing costs nobody else anything."""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.district import new_incident
from tests.faults.conftest import Tell
from tests.faults.hearing import people_of, signed_in
from tests.faults.servers import Server
from tests.faults.wire import new_report, posting
from tests.faults.world import WAIT_S, World
from tests.incidents.uploading import STREAM, digest, metadata, picture_of

LINKS, MANY_LINKS = 60, 500
POOL, LARGER_POOL = 3, 20
BODY = picture_of(40_000)
DRIBBLE, ROUNDS, PAUSE_S = 100, 12, 0.25
AT_ONCE = 10
IDLE_S, LONGER_IDLE_S = 12.0, 120.0
"""Long enough for all of them to begin before the first is ended, on any machine."""
KIB_A_LINK = 150
TAKEN = "SELECT count(*) FROM uploads WHERE held"
HELD = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
      AND application_name = 'etong' AND xact_start < now() - interval '1 second'"""


async def test_f6_u18_dribbling_links_hold_nothing_and_are_saved(world: World, tell: Tell) -> None:
    tell(await _dribbled(world, LINKS, POOL, IDLE_S))


@pytest.mark.whole
async def test_f6_five_hundred_dribbling_links(world: World, tell: Tell) -> None:
    tell(await _dribbled(world, MANY_LINKS, LARGER_POOL, LONGER_IDLE_S))


@dataclass
class Sender:
    """One link: an upload in pieces, or (without a path) a report with its picture."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    path: str | None
    body: bytes
    sent: int = 0

    async def dribble(self, size: int) -> None:
        self.writer.write(self.body[self.sent : self.sent + size])
        await self.writer.drain()
        self.sent += size

    async def ended(self) -> bytes:
        """All that the server says until it closes."""
        said = await self.reader.read()
        self.writer.close()
        return said


async def _dribbled(world: World, count: int, pool: int, idle_s: float) -> str:
    api = await world.serve(
        "api",
        ETONG_DATABASE__POOL_SIZE=str(pool),
        ETONG_UPLOADS__OPEN_PER_DEVICE="1000",
        ETONG_INTAKE__IDLE_S=str(idle_s),
        ETONG_INTAKE__RATE_WINDOW_S="600",  # here only silence ends them, all at a known offset
    )
    person, other = await people_of(world)
    (token, beside) = [*await signed_in(world, person, 1), *await signed_in(world, other, 1)]
    await _others(api, beside, 2.0)  # what is looked up once is in memory then
    paths = await _created(api, token, count * 3 // 4)
    before = _resident(api)
    senders: list[Sender] = []
    try:
        for path in [*paths, *[None] * (count - len(paths))]:
            senders.append(await _opened(api, token, path))
            if len(senders) % AT_ONCE == 0:  # phones do not begin in the same instant
                await world.until(TAKEN, sum(each.path is not None for each in senders))
        others = asyncio.create_task(_others(api, beside, ROUNDS * PAUSE_S))
        held = await _dribbling(world, senders)
        kib = (_resident(api) - before) / count
        took = await others
        await asyncio.gather(*(_is_ended(sender) for sender in senders))
    finally:
        for sender in senders:
            sender.writer.transport.abort()
    await _goes_on(api, token, senders[0])
    assert held == 0, "a connection waits for a sender"
    assert kib <= KIB_A_LINK
    assert world.bugs() == []
    slowest = sorted(took)[round(len(took) * 0.95) - 1]
    return (
        f"F6: {count} links cost {kib:.0f} KiB each; beside them {len(took)} requests over a pool"
        f" of {pool} were answered, 95 % within {1000 * slowest:.0f} ms"
    )


async def _dribbling(world: World, senders: Sequence[Sender]) -> int:
    """Every other one says nothing after its first words. Connections that were seen held."""
    held = 0
    for number in range(ROUNDS):
        for sender in senders[::2]:
            await sender.dribble(DRIBBLE)
        if number:  # the first second is that of beginning
            held = max(held, await world.count(HELD))
        await asyncio.sleep(PAUSE_S)
    return held


async def _created(api: Server, token: str, count: int) -> list[str]:
    headers = {
        "Authorization": f"Bearer {token}",
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(BODY)),
        "Upload-Metadata": metadata(sha256=digest(BODY)),
    }
    async with httpx.AsyncClient(
        base_url=api.url, trust_env=False, headers=headers, timeout=30
    ) as link:
        answers = [await link.post("/v1/uploads") for _ in range(count)]
    assert {answer.status_code for answer in answers} == {201}
    return [answer.headers["location"] for answer in answers]


async def _opened(api: Server, token: str, path: str | None) -> Sender:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    if path is None:
        request = posting(new_report(1), token)
        head, _, body = request.partition(b"\r\n\r\n")
    else:
        head = (
            f"PATCH {path} HTTP/1.1\r\nHost: etong.test\r\nTus-Resumable: 1.0.0\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: {STREAM}\r\n"
            f"Upload-Offset: 0\r\nContent-Length: {len(BODY)}"
        ).encode()
        body = BODY
    writer.write(head + b"\r\n\r\n")
    sender = Sender(reader, writer, path, body)
    await sender.dribble(DRIBBLE)
    return sender


async def _others(api: Server, token: str, seconds: float) -> Sequence[float]:
    """Somebody else reads and reports all the while; how long each answer took."""
    took: list[float] = []
    headers = {"Authorization": f"Bearer {token}"}
    until = time.monotonic() + seconds
    async with httpx.AsyncClient(
        base_url=api.url, trust_env=False, headers=headers, timeout=30
    ) as link:
        while time.monotonic() < until:
            began = time.monotonic()
            answers = [
                await link.post("/v1/incidents", json=new_incident()),
                await link.get("/v1/incidents?mine=true&limit=5"),
            ]
            took.append((time.monotonic() - began) / 2)
            assert [answer.status_code for answer in answers] == [201, 200]
            await asyncio.sleep(0.02)
    return took


async def _is_ended(sender: Sender) -> None:
    """Told so, with the offset of everything that was sent."""
    async with asyncio.timeout(LONGER_IDLE_S + WAIT_S):
        said = await sender.ended()
    assert said.startswith(b"HTTP/1.1 408 "), said
    if sender.path is not None:
        found = re.search(rb"upload-offset: (\d+)", said, re.IGNORECASE)
        assert found is not None
        assert int(found[1]) == sender.sent


async def _goes_on(api: Server, token: str, sender: Sender) -> None:
    """What one of them has sent is worth having: the rest makes it whole, and it is the same."""
    assert sender.path is not None
    headers = {
        "Authorization": f"Bearer {token}",
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": str(sender.sent),
        "Content-Type": STREAM,
    }
    async with httpx.AsyncClient(
        base_url=api.url, trust_env=False, headers=headers, timeout=30
    ) as link:
        answer = await link.patch(sender.path, content=BODY[sender.sent :])
    assert answer.status_code == 204, answer.text  # the digest of the whole has been compared


def _resident(server: Server) -> int:
    """KiB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text("utf-8"))
    assert found is not None
    return int(found[1])
