"""(c) Streams: from an event's commit to the screens of those it concerns, and what a stream costs.

Every stream is another person's. Events are committed one by one at a steady pace by the process
that listens, so that both ends are read from one clock. The yardstick is PostgreSQL's own NOTIFY
in the same transaction, heard by a bare connection: what no server can beat.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count as numbers
from multiprocessing import get_context
from pathlib import Path
from typing import cast
from uuid import UUID

import psycopg
import uvloop
from sqlalchemy import insert

from app.accounts.access_tokens import make_access_token
from app.accounts.models import LoginSession, Person, RoleHolding
from app.accounts.permissions import Role
from app.accounts.queries import unit_by_ref
from app.core.db import new_id
from app.opening import opened
from tests.load.client import HOST, Outcome
from tests.load.notifying import INSERT, PATIENCE_S, all_arrived, event, keep_pace
from tests.load.servers import PRODUCT, House, Served, served

RELAY = (*PRODUCT[:-1], "relay")
_OPENING = 200
"""Streams being opened at a time."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A person and a token of theirs."""

    person_id: UUID
    token: str


async def listeners(house: House, count: int) -> list[Listener]:
    """So many people of their own with a session each; nobody of them knows a password."""
    async with opened(house.settings) as resources:
        now = resources.clock.now()
        people = [(new_id(), new_id()) for _ in range(count)]
        async with resources.sessions.begin() as session:
            unit = await unit_by_ref(session, house.usernames[0].removeprefix("bench-"))
            assert unit is not None
            rows = [
                {"id": id_, "username": f"listener-{id_}", "name": "听众", "created_at": now}
                for id_, _ in people
            ]
            await session.execute(insert(Person), rows)
            held = [{"person_id": id_, "unit_id": unit.id, "role": Role.AUDITOR.value}
                    for id_, _ in people]  # fmt: skip
            await session.execute(insert(RoleHolding), held)
            logins = [
                {
                    "id": login,
                    "person_id": id_,
                    "created_at": now,
                    "last_used_at": now,
                    "expires_at": now + timedelta(days=1),
                }
                for id_, login in people
            ]
            await session.execute(insert(LoginSession), logins)
        return [
            Listener(id_, make_access_token(resources, id_, login, "person"))
            for id_, login in people
        ]


@contextmanager
def audience(house: House, streams: int, processes: int = 1) -> Iterator["Heard"]:
    """Servers and a relay, with so many streams open for the length of the block."""
    with (
        served(house, RELAY, 1),
        served(house, PRODUCT, processes) as product,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process,
    ):
        yield Heard(house, product, streams, process)


class Heard:
    """Opens the streams in a process of its own and keeps them until it is done."""

    def __init__(
        self,
        house: House,
        product: Served,
        streams: int,
        process: ProcessPoolExecutor,
    ) -> None:
        self._house, self._streams = house, streams
        self._url = house.settings.database.url.get_secret_value().replace("+psycopg", "")
        self._product, self._process = product, process
        self.pids = product.pids
        self.kib_per_stream = 0.0

    def run(self, count: int) -> Outcome:
        """Open all, commit `count` events at the pace, close. Latencies: commit to screen.

        Other people in every run: a stream begins with what its person was sent in the one before.
        """
        people = asyncio.run(listeners(self._house, self._streams))
        work = self._process.submit(_run, self._url, self._product.ports, self.pids, people, count)
        outcome, grown = work.result()
        # later runs find the memory of the ones before
        self.kib_per_stream = max(self.kib_per_stream, grown / 1024 / len(people))
        return outcome


def _run(
    url: str,
    ports: Sequence[int],
    pids: Sequence[int],
    people: Sequence[Listener],
    count: int,
) -> tuple[Outcome, int]:
    return uvloop.run(_measure(url, ports, pids, people, count))


async def _measure(
    url: str,
    ports: Sequence[int],
    pids: Sequence[int],
    people: Sequence[Listener],
    count: int,
) -> tuple[Outcome, int]:
    outcome = Outcome()
    heard: dict[UUID, _Arrivals] = defaultdict(_Arrivals)
    # the first few wake up what every later one shares
    warm, rest = people[: len(people) // 10], people[len(people) // 10 :]
    screens = await _opened(ports, warm, heard, outcome)
    before = _resident(pids)
    screens += await _opened(ports, rest, heard, outcome)
    grown = (_resident(pids) - before) * len(people) // len(rest)
    began, cpu = time.perf_counter(), time.process_time()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for number in range(count):
            person = people[(number * 7919) % len(people)].person_id
            await connection.execute(INSERT, event(person, number), prepare=True)
            heard[person].committed.append(time.perf_counter())
            await keep_pace(began, number)
    await all_arrived(outcome, count)
    outcome.seconds = time.perf_counter() - began
    outcome.cpu_s = time.process_time() - cpu
    for screen in screens:
        screen.close()
    return outcome, grown


@dataclass(slots=True)
class _Arrivals:
    """Commits of one person that have not arrived yet, oldest first."""

    committed: deque[float]

    def __init__(self) -> None:
        self.committed = deque()


async def _opened(
    ports: Sequence[int],
    people: Sequence[Listener],
    heard: dict[UUID, _Arrivals],
    outcome: Outcome,
) -> list["_Screen"]:
    """All at once would be a herd, which is another measurement."""
    loop = asyncio.get_running_loop()
    screens: list[_Screen] = []
    turn = numbers()
    for start in range(0, len(people), _OPENING):
        batch = [
            _Screen(each, heard[each.person_id], outcome) for each in people[start:][:_OPENING]
        ]
        await asyncio.gather(
            *(
                loop.create_connection(
                    partial(_itself, screen), HOST, ports[next(turn) % len(ports)]
                )
                for screen in batch
            )
        )
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(screen.hello for screen in batch))
        screens += batch
    return screens


def _itself(screen: "_Screen") -> "_Screen":
    return screen


class _Screen(asyncio.Protocol):
    """One stream, read as cheaply as can be."""

    def __init__(self, who: Listener, arrivals: _Arrivals, outcome: Outcome) -> None:
        self._who, self._arrivals, self._outcome = who, arrivals, outcome
        self._transport: asyncio.WriteTransport | None = None
        self.hello = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is none by class
        self._transport.write(
            f"GET /v1/inbox/stream?last_event_id=0 HTTP/1.1\r\nHost: {HOST}\r\n"
            f"Authorization: Bearer {self._who.token}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if not self.hello.done() and b"event: hello" in data:
            self.hello.set_result(None)
        for _ in range(data.count(b"\nevent: notice")):
            committed = self._arrivals.committed.popleft()
            self._outcome.latencies.append(time.perf_counter() - committed)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.hello.done():
            self.hello.set_exception(error or ConnectionResetError("closed by the server"))

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


def _resident(pids: Sequence[int]) -> int:
    """Bytes of memory these processes hold."""
    kib = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        kib += int(line.split()[1])
    return kib * 1024
