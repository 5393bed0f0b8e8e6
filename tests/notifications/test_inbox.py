"""The inbox: numbered without gaps whoever writes at once, acknowledged forwards only."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import new_id
from app.notifications.inbox import Draft, ack, subject, write
from app.notifications.messages import Message
from app.notifications.models import Inbox, Notice
from tests.conftest import NOON
from tests.district import District
from tests.incidents.paths import DESK, OUTSIDER, WORKER, incident_in, person_id
from tests.notifications.hearing import poll_every

CAST = (WORKER, DESK, "desk-liuhu", "police-liuhu", "desk-kongtong", "auditor", "admin")


@pytest.fixture(scope="module")
async def people(shared_district: District) -> list[UUID]:
    return [await person_id(shared_district, who) for who in CAST]


@pytest.fixture
async def session(shared_district: District) -> AsyncIterator[AsyncSession]:
    """Rolled back: the numbers it took are given back too."""
    async with shared_district.resources.sessions.read() as session:
        yield session


def draft(person: UUID, event: int, body: str = "内容") -> Draft:
    return Draft(
        person,
        event,
        "incident.state_changed",
        new_id(),
        "620802105-20260311-0001",
        "accepted",
        Message("标题", body),
        NOON,
    )


async def numbers(session: AsyncSession, person: UUID) -> list[tuple[int, int]]:
    rows = await session.execute(
        select(Notice.seq, Notice.event_id).where(Notice.person_id == person).order_by(Notice.seq)
    )
    return [(row.seq, row.event_id) for row in rows]


async def head(session: AsyncSession, person: UUID) -> int:
    inbox = await session.get(Inbox, person, populate_existing=True)
    return inbox.head_seq if inbox else 0


# --- writing


async def test_nothing_to_tell_writes_nothing(session: AsyncSession, people: list[UUID]) -> None:
    assert await write(session, []) == set()
    assert await head(session, people[0]) == 0


async def test_each_event_is_told_a_person_once(session: AsyncSession, people: list[UUID]) -> None:
    twice = [draft(people[0], 7, "一"), draft(people[0], 7, "二"), draft(people[1], 7, "三")]
    assert await write(session, twice) == {subject(person) for person in people[:2]}
    assert await write(session, twice) == set()
    assert await numbers(session, people[0]) == [(1, 7)]
    body = await session.scalar(select(Notice.body).where(Notice.person_id == people[0]))
    assert body == "一"
    assert await head(session, people[0]) == 1


async def test_a_batch_keeps_the_order_of_its_drafts(
    session: AsyncSession, people: list[UUID]
) -> None:
    events = [30, 10, 20, 40]
    await write(session, [draft(person, event) for event in events for person in people[:3]])
    await write(session, [draft(people[0], 5), draft(people[0], 10), draft(people[0], 6)])
    assert await numbers(session, people[0]) == list(enumerate([*events, 5, 6], start=1))
    assert await numbers(session, people[1]) == list(enumerate(events, start=1))


async def test_p1_a_number_taken_and_rolled_back_is_taken_again(
    shared_district: District, people: list[UUID]
) -> None:
    sessions = shared_district.resources.sessions
    async with sessions.read() as lost:
        await write(lost, [draft(people[5], 1)])
        assert await head(lost, people[5]) == 1
    async with sessions.read() as session:
        await write(session, [draft(people[5], 2)])
        assert await numbers(session, people[5]) == [(1, 2)]


async def test_p1_s2_a_second_writer_waits_for_the_first(
    shared_district: District, people: list[UUID]
) -> None:
    """A takes a number and sleeps, B must not commit a later one that a reader sees first."""
    sessions, person = shared_district.resources.sessions, people[5]
    async with sessions.read() as first:
        await write(first, [draft(person, 101)])
        second = asyncio.create_task(_write_alone(shared_district, [draft(person, 102)]))
        done, _ = await asyncio.wait({second}, timeout=0.2)
        assert not done
        async with sessions.read() as reader:
            assert await numbers(reader, person) == []
        await first.commit()
    await second
    async with sessions.read() as reader:
        assert await numbers(reader, person) == [(1, 101), (2, 102)]


async def test_p1_many_writers_at_once_leave_no_gap_and_no_deadlock(
    shared_district: District, people: list[UUID]
) -> None:
    """Twelve writers, each telling several people of several events in its own order."""
    source = random.Random(7)  # noqa: S311 - the same disorder every time
    batches = []
    for writer in range(12):
        events = range(1000 + writer * 10, 1000 + writer * 10 + 5)
        batch = [draft(person, event) for person in people[:5] for event in events]
        source.shuffle(batch)
        batches.append(batch)
    await asyncio.gather(*(_write_alone(shared_district, batch) for batch in batches))
    async with shared_district.resources.sessions.read() as session:
        for person in people[:5]:
            told = await numbers(session, person)
            assert [seq for seq, _ in told] == list(range(1, 61))
            assert len({event for _, event in told}) == 60
            assert await head(session, person) == 60


async def _write_alone(district: District, drafts: list[Draft]) -> None:
    async with district.resources.sessions.begin() as session:
        await write(session, drafts)


# --- acknowledging


async def test_p2_an_ack_never_goes_back_and_never_beyond(
    session: AsyncSession, people: list[UUID]
) -> None:
    person, now = people[6], NOON
    assert await ack(session, person, 5, now) == 0
    await write(session, [draft(person, event) for event in range(1, 5)])
    for up_to, mark in ((2, 2), (1, 2), (2, 2), (0, 2), (99, 4), (3, 4)):
        assert await ack(session, person, up_to, now) == mark
    await write(session, [draft(person, 9)])
    seen = await session.scalars(
        select(Notice.seq).where(Notice.person_id == person, Notice.acked_at.is_not(None))
    )
    assert sorted(seen) == [1, 2, 3, 4]


# --- over HTTP


async def test_an_inbox_is_for_people_who_signed_in(shared_district: District) -> None:
    async with shared_district.anonymous() as anonymous:
        for path in ("/v1/inbox", "/v1/inbox/stream"):
            assert (await anonymous.get(path)).status_code == 401
        assert (await anonymous.post("/v1/inbox/ack", json={"up_to": 1})).status_code == 401


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/inbox", {"after": -1}),
        ("/v1/inbox", {"limit": 0}),
        ("/v1/inbox", {"limit": 201}),
        ("/v1/inbox", {"wait": 31}),
        ("/v1/inbox/stream", {"heartbeat": 14}),
        ("/v1/inbox/stream", {"heartbeat": 241}),
        ("/v1/inbox/stream", {"last_event_id": -1}),
    ],
)
async def test_what_can_not_be_asked_is_refused(
    shared_district: District, path: str, asked: dict[str, Any]
) -> None:
    client = await shared_district.client(WORKER)
    answer = await client.get(path, params=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")


async def test_p2_pages_acks_and_other_peoples_inboxes(district: District) -> None:
    incident = await incident_in(district, "closed")
    client = await district.client(WORKER)
    whole = (await client.get("/v1/inbox")).json()
    assert whole["head_seq"] == len(whole["items"]) == 8
    assert whole["next"] is None
    paged: list[dict[str, Any]] = []
    asked: dict[str, Any] = {"after": 0, "limit": 3}
    while True:
        page = (await client.get("/v1/inbox", params=asked)).json()
        paged += page["items"]
        if page["next"] is None:
            break
        asked["after"] = page["next"]
    assert paged == whole["items"]
    assert {item["incident_id"] for item in paged} == {incident}
    assert (await client.post("/v1/inbox/ack", json={"up_to": 5})).json() == {"acked_seq": 5}
    assert (await client.post("/v1/inbox/ack", json={"up_to": 2})).json() == {"acked_seq": 5}
    seen = (await client.get("/v1/inbox")).json()
    assert seen["acked_seq"] == 5
    assert [item["acked_at"] is not None for item in seen["items"]] == [True] * 5 + [False] * 3
    other = await district.client(OUTSIDER)
    assert (await other.get("/v1/inbox")).json() == {
        "items": [],
        "next": None,
        "head_seq": 0,
        "acked_seq": 0,
    }
    assert (await other.post("/v1/inbox/ack", json={"up_to": 9})).json() == {"acked_seq": 0}


async def _waiting(district: District, who: str, after: int, wait: int) -> tuple[list[int], float]:
    client = await district.client(who)
    began = time.monotonic()
    answer = await client.get("/v1/inbox", params={"after": after, "wait": wait}, timeout=40)
    return [item["seq"] for item in answer.json()["items"]], time.monotonic() - began


async def test_p2_a_waiting_reader_is_woken(shared_district: District) -> None:
    client = await shared_district.client(WORKER)
    after = (await client.get("/v1/inbox")).json()["head_seq"]
    waiting = asyncio.create_task(_waiting(shared_district, WORKER, after, 30))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await shared_district.report()
    found, took = await waiting
    assert (found[0], took < 5) == (after + 1, True)


async def test_p2_a_reader_who_waits_in_vain_is_answered_in_time(
    shared_district: District,
) -> None:
    found, took = await _waiting(shared_district, OUTSIDER, 0, 1)
    assert found == []
    assert 0.9 <= took < 5


async def test_p9_a_waiting_reader_hears_without_any_wakeup(shared_district: District) -> None:
    poll_every(shared_district, 0.05)
    shared_district.wakeups.dropping = True
    try:
        client = await shared_district.client(WORKER)
        after = (await client.get("/v1/inbox")).json()["head_seq"]
        waiting = asyncio.create_task(_waiting(shared_district, WORKER, after, 30))
        await asyncio.sleep(0.05)
        await shared_district.report()
        found, took = await waiting
        assert (found[0], took < 5) == (after + 1, True)
    finally:
        shared_district.wakeups.dropping = False
        poll_every(shared_district, 10)
