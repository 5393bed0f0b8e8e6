"""The stream over real sockets, heard by a client that is not ours."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from httpx_sse import ServerSentEvent, aconnect_sse

from tests.district import District
from tests.incidents.paths import POLICE, WORKER, incident_in, walk

EVENTS = 24


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def served(district: District) -> AsyncIterator[tuple[str, uvicorn.Server]]:
    """The district's server on a free port of this machine."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        district.app,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", server
    finally:
        district.resources.draining.set()
        district.resources.wakeups.wake_all()
        server.should_exit = True
        async with asyncio.timeout(10):
            await serving
        listening.close()


@pytest.fixture
async def phone(district: District) -> AsyncIterator[httpx.AsyncClient]:
    """The worker's, on the real network stack."""
    signed_in = await district.client(WORKER)
    async with served(district) as (url, _):
        headers = {"Authorization": signed_in.headers["Authorization"]}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as client:
            yield client


def _stream(
    phone: httpx.AsyncClient, last: str | None
) -> contextlib.AbstractAsyncContextManager[Any]:
    headers = {"Last-Event-ID": last} if last is not None else {}
    return aconnect_sse(phone, "GET", "/v1/inbox/stream", headers=headers)


async def test_p12_whatever_the_link_does_the_log_is_exactly_one_to_n(
    district: District, phone: httpx.AsyncClient
) -> None:
    """Notices keep coming while the phone loses its link after every few of them."""
    incident = await incident_in(district, "in_progress")
    begun = 5
    told = asyncio.create_task(_keep_telling(district, incident, EVENTS))
    log: list[int] = []
    last: str | None = "0"
    connections = 0
    async with asyncio.timeout(30):
        while len(log) < begun + EVENTS:
            connections += 1
            async with _stream(phone, last) as source:
                async for event in source.aiter_sse():
                    if event.event != "notice":
                        assert event.event == "hello"
                        assert event.json()["gap"] is False
                        continue
                    log.append(int(event.id))
                    last = event.id
                    # cut in the middle of what the server sends, more than once per batch
                    if len(log) % (connections + 1) == 0:
                        break
    await told
    assert log == list(range(1, begun + EVENTS + 1))
    assert connections > 5


async def _keep_telling(district: District, incident: str, count: int) -> None:
    for number in range(count):
        await walk(district, incident, (POLICE, "progress", {"text": f"进展 {number}"}))


async def test_p3_the_header_goes_before_the_query_and_the_ack(
    district: District, phone: httpx.AsyncClient
) -> None:
    await incident_in(district, "accepted")
    head = (await phone.get("/v1/inbox")).json()["head_seq"]
    await phone.post("/v1/inbox/ack", json={"up_to": 1})
    cases: tuple[tuple[dict[str, str], dict[str, int], int], ...] = (
        ({"Last-Event-ID": str(head - 1)}, {"last_event_id": 0}, head),
        ({}, {"last_event_id": head - 2}, head - 1),
        ({}, {}, 2),
    )
    for headers, query, first in cases:
        async with aconnect_sse(
            phone, "GET", "/v1/inbox/stream", headers=headers, params=query
        ) as source:
            events = source.aiter_sse()
            assert (await anext(events)).event == "hello"
            assert (await anext(events)).id == str(first)


async def test_p6_nothing_on_the_way_compresses_or_keeps_it(phone: httpx.AsyncClient) -> None:
    async with phone.stream(
        "GET", "/v1/inbox/stream", headers={"Accept-Encoding": "gzip"}
    ) as answer:
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"].startswith("text/event-stream")


async def test_p11_f28_twenty_streams_hear_bye_and_the_server_is_gone_in_time(
    district: District,
) -> None:
    signed_in = await district.client(WORKER)
    headers = {"Authorization": signed_in.headers["Authorization"]}
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        url, _ = await stack.enter_async_context(served(district))
        phone = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, headers=headers, timeout=20)
        )
        opened: asyncio.Queue[int] = asyncio.Queue()
        heard = [asyncio.create_task(_hear_out(phone, opened)) for _ in range(20)]
        async with asyncio.timeout(10):
            for _ in heard:
                await opened.get()
        began = loop.time()
        district.resources.draining.set()
        district.resources.wakeups.wake_all()
        endings = await asyncio.gather(*heard)
        assert loop.time() - began < 5
    assert [[event.event for event in events] for events in endings] == [["hello", "bye"]] * 20
    assert all(events[0].retry and 3000 <= events[0].retry <= 8000 for events in endings)


async def _hear_out(phone: httpx.AsyncClient, opened: asyncio.Queue[int]) -> list[ServerSentEvent]:
    events = []
    async with _stream(phone, "0") as source:
        async for event in source.aiter_sse():
            events.append(event)
            opened.put_nowait(len(events))
    return events
