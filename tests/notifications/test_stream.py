"""The stream on plain ASGI: what it says first, what it repeats, when it says goodbye."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import delete, update

from app.accounts.caller import Caller
from app.accounts.models import LoginSession
from app.core.batching import Batched
from app.notifications import queries
from app.notifications import stream as streaming
from app.notifications.models import Notice
from app.notifications.stream import Stream
from app.notifications.switchboard import Switchboard
from tests.district import District
from tests.incidents.paths import COMPLETE, OUTSIDER, POLICE, WORKER, incident_in, walk
from tests.notifications.hearing import PATIENCE_S, Hearing, caller_of, heard, poll_every

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@pytest.fixture
async def worker(shared_district: District) -> AsyncIterator[Caller]:
    """Signed in a moment ago, so that ten minutes of stream are left."""
    caller = await caller_of(shared_district, WORKER)
    now = shared_district.clock.now()
    poll_every(shared_district, 10)
    yield replace(caller, expires_at=now + timedelta(minutes=15))
    shared_district.resources.draining.clear()
    shared_district.wakeups.dropping = False


async def _head(district: District, who: str = WORKER) -> int:
    client = await district.client(who)
    head: int = (await client.get("/v1/inbox", params={"limit": 1})).json()["head_seq"]
    return head


async def _bye(hearing: Hearing) -> str:
    """The reason it ends for; nothing may follow."""
    reason: str = (await hearing.event("bye")).data["reason"]
    async with asyncio.timeout(PATIENCE_S):
        await hearing.complete.wait()
    assert hearing.events.empty()
    return reason


# --- what ends it, and what it never does


async def test_p8_a_server_that_drains_asks_to_come_back_later(
    shared_district: District, worker: Caller
) -> None:
    shared_district.resources.draining.set()
    async with heard(shared_district, worker) as hearing:
        assert await _bye(hearing) == "draining"
    assert hearing.started["status"] == 200
    assert hearing.retries == [30000]


async def test_p8_a_stream_that_runs_says_bye_when_the_server_drains(
    shared_district: District, worker: Caller
) -> None:
    async with heard(shared_district, worker, 10**6) as hearing:
        await hearing.event("hello")
        shared_district.resources.draining.set()
        shared_district.wakeups.wake_all()
        assert await _bye(hearing) == "draining"
    # no two of a thousand come back at the same moment
    assert [3000 <= retry <= 8000 for retry in hearing.retries] == [True, True]


async def test_p5_a_stream_ends_after_ten_minutes(
    shared_district: District, worker: Caller
) -> None:
    poll_every(shared_district, 0.02)
    async with heard(shared_district, worker, 10**6) as hearing:
        await hearing.event("hello")
        shared_district.clock.advance(timedelta(minutes=10))
        assert await _bye(hearing) == "lifetime"


async def test_p7_a_token_that_runs_out_ends_it(shared_district: District, worker: Caller) -> None:
    poll_every(shared_district, 0.02)
    short = replace(worker, expires_at=shared_district.clock.now() + timedelta(minutes=1))
    async with heard(shared_district, short, 10**6, heartbeat_s=240) as hearing:
        await hearing.event("hello")
        shared_district.clock.advance(timedelta(minutes=1))
        assert await _bye(hearing) == "session-ended"


async def test_p7_a_session_that_is_revoked_ends_it_although_nothing_comes(
    shared_district: District,
) -> None:
    """Elsewhere, too: another process only wrote it into the table. Polls are enough."""
    poll_every(shared_district, 0.02)
    caller = await caller_of(shared_district, OUTSIDER)
    async with heard(shared_district, caller, heartbeat_s=240) as hearing:
        await hearing.event("hello")
        async with shared_district.resources.sessions.begin() as session:
            await session.execute(
                update(LoginSession)
                .where(LoginSession.id == caller.session_id)
                .values(revoked_at=shared_district.clock.now())
            )
        shared_district.clock.advance(timedelta(seconds=3))
        assert await _bye(hearing) == "session-ended"
    async with heard(shared_district, caller) as again:
        await again.event("hello")
        assert await _bye(again) == "session-ended"


async def test_p13_the_third_stream_of_a_device_ends_the_oldest(
    shared_district: District, worker: Caller
) -> None:
    stranger = await caller_of(shared_district, OUTSIDER)
    async with (
        heard(shared_district, worker) as oldest,
        heard(shared_district, stranger) as other,
        heard(shared_district, worker) as middle,
        heard(shared_district, worker) as newest,
    ):
        assert await _gone(oldest) == "replaced"
        assert oldest.retries[-1] == 30000
        for hearing in (other, middle, newest):
            assert not hearing.complete.is_set()


async def _gone(hearing: Hearing) -> str:
    """The reason it ended for, whatever was heard before."""
    async with asyncio.timeout(PATIENCE_S):
        await hearing.complete.wait()
    events = [hearing.events.get_nowait() for _ in range(hearing.events.qsize())]
    (reason,) = [str(event.data["reason"]) for event in events if event.name == "bye"]
    return reason


async def test_a_client_that_leaves_leaves_nothing_behind(
    shared_district: District, worker: Caller
) -> None:
    tasks = asyncio.all_tasks()
    async with heard(shared_district, worker) as hearing:
        await hearing.event("hello")
        assert len(asyncio.all_tasks()) > len(tasks)
    assert not asyncio.all_tasks() - tasks
    assert shared_district.resources.sessions.engine.pool.status().count("Connections in pool")


async def test_p10_a_reader_that_takes_nothing_is_left(
    shared_district: District, worker: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "SLOW_READER_S", 0.05)
    never = asyncio.Event()
    tried: list[str] = []

    async def receive() -> MutableMapping[str, Any]:
        await never.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        tried.append(message["type"])
        if message["type"] == "http.response.body":
            await never.wait()

    async with asyncio.timeout(PATIENCE_S):
        await Stream(shared_district.resources, worker, None, 25).serve(receive, send)
    assert tried == ["http.response.start", "http.response.body"]


async def test_a_link_that_breaks_while_it_is_written_to_ends_quietly(
    shared_district: District, worker: Caller
) -> None:
    tried: list[str] = []

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: MutableMapping[str, Any]) -> None:
        tried.append(message["type"])
        if message["type"] == "http.response.body":
            raise BrokenPipeError

    async with asyncio.timeout(PATIENCE_S):
        await Stream(shared_district.resources, worker, None, 25).serve(receive, send)
    assert tried == ["http.response.start", "http.response.body"]


async def test_no_connection_is_held_while_a_client_waits(
    shared_district: District, worker: Caller
) -> None:
    async with heard(shared_district, worker, 10**6) as hearing:
        await hearing.event("hello")
        await asyncio.sleep(0.05)
        pool: Any = shared_district.resources.sessions.engine.pool
        assert pool.checkedout() == 0


# --- what it says


async def test_p6_its_headers_keep_every_proxy_from_touching_it(
    shared_district: District, worker: Caller
) -> None:
    async with heard(shared_district, worker) as hearing:
        await hearing.event("hello")
    assert hearing.headers == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
    }


async def test_p4_it_says_hello_first(shared_district: District, worker: Caller) -> None:
    await shared_district.report()
    head = await _head(shared_district)
    async with heard(shared_district, worker, head) as hearing:
        hello = await hearing.event("hello")
    assert hello.id is None
    assert hello.data == {
        "server_time": f"{shared_district.clock.now():%Y-%m-%dT%H:%M:%SZ}",
        "oldest_seq": 1,
        "head_seq": head,
        "gap": False,
    }
    assert 3000 <= hearing.retries[0] <= 8000


async def test_p4_an_empty_inbox_has_no_gap(shared_district: District) -> None:
    caller = await caller_of(shared_district, "desk-kongtong")
    async with heard(shared_district, caller) as hearing:
        hello = (await hearing.event("hello")).data
    assert (hello["oldest_seq"], hello["head_seq"], hello["gap"]) == (0, 0, False)


async def test_p4_a_number_from_another_life_is_a_gap(
    shared_district: District, worker: Caller
) -> None:
    """A restored backup: what comes next must not be taken for seen."""
    head = await _head(shared_district)
    async with heard(shared_district, worker, head + 1000) as hearing:
        assert (await hearing.event("hello")).data["gap"] is True
        await shared_district.report()
        assert await hearing.numbers(2) == [head + 1, head + 2]


async def test_p4_numbers_that_are_kept_no_more_are_a_gap(district: District) -> None:
    await incident_in(district, "closed")
    caller = await caller_of(district, WORKER)
    async with district.resources.sessions.begin() as session:
        await session.execute(delete(Notice).where(Notice.person_id == caller.id, Notice.seq < 4))
    for after, gap, first in ((0, True, 4), (2, True, 4), (3, False, 4), (4, False, 5)):
        async with heard(district, caller, after) as hearing:
            hello = (await hearing.event("hello")).data
            assert (hello["oldest_seq"], hello["gap"]) == (4, gap)
            assert await hearing.numbers(1) == [first]


async def test_p3_it_repeats_exactly_what_is_missing_and_goes_on_live(
    shared_district: District, worker: Caller
) -> None:
    incident = await incident_in(shared_district, "in_progress")
    head = await _head(shared_district)
    for after in (0, head - 3, head):
        async with heard(shared_district, worker, after) as hearing:
            await hearing.event("hello")
            assert await hearing.numbers(head - after) == list(range(after + 1, head + 1))
            assert hearing.events.empty()
    async with heard(shared_district, worker, head) as hearing:
        await hearing.event("hello")
        await walk(shared_district, incident, (POLICE, "progress", {"text": "已到现场"}))
        notice = await hearing.event("notice")
        assert notice.id == str(head + 1) == str(notice.data["seq"])
        inbox = await (await shared_district.client(WORKER)).get(
            "/v1/inbox", params={"after": head}
        )
        assert inbox.json()["items"] == [notice.data]


async def test_p3_without_a_number_it_goes_on_from_the_last_ack(
    shared_district: District, worker: Caller
) -> None:
    await shared_district.report()
    head = await _head(shared_district)
    client = await shared_district.client(WORKER)
    await client.post("/v1/inbox/ack", json={"up_to": head - 1})
    async with heard(shared_district, worker) as hearing:
        await hearing.event("hello")
        assert await hearing.numbers(1) == [head]


async def test_p9_f22_without_any_wakeup_the_poll_delivers(
    shared_district: District, worker: Caller
) -> None:
    poll_every(shared_district, 0.02)
    shared_district.wakeups.dropping = True
    head = await _head(shared_district)
    async with heard(shared_district, worker, head) as hearing:
        await hearing.event("hello")
        await shared_district.report()
        assert await hearing.numbers(2) == [head + 1, head + 2]


async def test_f20_what_comes_while_the_stream_begins_is_not_missed(
    shared_district: District, worker: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Subscribe first, then read: a notice written right after the first look is woken for."""
    poll_every(shared_district, 60)  # it would make up for what a wakeup missed
    head = await _head(shared_district)
    read = queries.newer_of_many

    async def then_reported(*asked: Any) -> Any:
        found = await read(*asked)
        monkeypatch.setattr(board, "newer", Batched(partial(read, sessions), 50))
        await shared_district.report()
        return found

    board = shared_district.resources.the(Switchboard)
    sessions = shared_district.resources.sessions
    monkeypatch.setattr(board, "newer", Batched(partial(then_reported, sessions), 50))
    async with heard(shared_district, worker, head) as hearing:
        await hearing.event("hello")
        assert await hearing.numbers(2) == [head + 1, head + 2]


async def test_f20_a_doubled_wakeup_repeats_nothing(
    shared_district: District, worker: Caller
) -> None:
    head = await _head(shared_district)
    async with heard(shared_district, worker, head) as hearing:
        await hearing.event("hello")
        await shared_district.report()
        shared_district.wakeups.wake_all()
        assert await hearing.numbers(2) == [head + 1, head + 2]
        await shared_district.report()
        assert await hearing.numbers(2) == [head + 3, head + 4]


async def test_p5_silence_is_filled_with_heartbeats_whatever_wakes_it(
    shared_district: District, worker: Caller
) -> None:
    async with heard(shared_district, worker, 10**6, heartbeat_s=0.1) as hearing:
        await hearing.event("hello")
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(PATIENCE_S):
            while hearing.comments.empty():
                shared_district.wakeups.wake_all()
                await asyncio.sleep(0.02)
        assert 0.09 <= loop.time() - began < 3
        assert await hearing.comments.get() == b": keep-alive"
        async with asyncio.timeout(PATIENCE_S):
            await hearing.comments.get()
    assert hearing.events.empty()


@pytest.mark.parametrize(
    "words",
    [
        "字" * 5000,
        "\x01\x1f" * 2500,
        '"\\' * 2500,
        "👮" * 5000,
        "好了\r\n\r\nid: 999\r\nevent: notice\r\ndata: {}\r\n\r\n",
        "行" + "\u2028\u2029\x85" * 1000 + "了",
    ],
    ids=["long", "control", "quotes", "emoji", "forged", "separators"],
)
async def test_p6_a_frame_stays_below_4_kib_and_is_one_event(
    shared_district: District, worker: Caller, words: str
) -> None:
    incident = await incident_in(shared_district, "in_progress")
    head = await _head(shared_district)
    who, action, _ = COMPLETE
    await walk(shared_district, incident, (who, action, {"outcome": words}))
    async with heard(shared_district, worker, head) as hearing:
        await hearing.event("hello")
        notice = await hearing.event("notice")
        assert notice.id == str(head + 1)
        assert len(notice.raw) <= 4096
        assert words.strip()[:100] in notice.data["body"]
        assert hearing.events.empty()
