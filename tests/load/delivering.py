"""(e) Webhooks: attempts a second, and what a bad neighbour does to the healthy.

Receivers run in a process of their own. The product is `etong serve --roles pump` on a database
that holds the deliveries; the yardstick is the product's own HTTP door in a loop, without any
database: what is left of it is the price of writing every attempt down before and after.
"""

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_network
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from typing import cast
from uuid import UUID

import psycopg
import uvloop
from sqlalchemy import insert

from app.core.crypto import Keys
from app.core.db import new_id
from app.opening import opened
from app.webhooks import sealing
from app.webhooks.claiming import LANES
from app.webhooks.models import Delivery, Endpoint
from app.webhooks.sending import HttpSender
from app.webhooks.signing import new_secret, signed_headers
from tests.load.client import HOST, Outcome
from tests.load.machine import cpu_seconds
from tests.load.servers import House, served

HEALTHY = 8
BAD = ("hang", "slow", "big")
_PUMP = (str(Path(sys.executable).with_name("etong")), "serve", "--roles", "pump")
_BODY = b'{"type":"incident.reported","data":"' + b"x" * 480 + b'"}'
_MOST_S = 300.0


@dataclass(frozen=True, slots=True)
class Receivers:
    """Ports of `HEALTHY` good ones, then one of each bad kind."""

    ports: tuple[int, ...]

    @property
    def healthy(self) -> tuple[int, ...]:
        return self.ports[:HEALTHY]


@contextmanager
def receivers() -> Iterator[Receivers]:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_receive, args=(theirs,), daemon=True)
    process.start()
    try:
        yield Receivers(tuple(ours.recv()))
    finally:
        process.terminate()
        process.join()


def bare(ports: Sequence[int], count: int) -> Outcome:
    """The yardstick: sign and send, `LANES` at a time to each receiver."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_send_bare, list(ports), count).result()


def pumped(house: House, ports: Sequence[int], count: int, bad: Sequence[int] = ()) -> Outcome:
    """Deliveries spread over the healthy ports; as many again wait for each bad one.

    The outcome's latencies are those of the healthy endpoints' deliveries, from due to delivered.
    """
    healthy = asyncio.run(_queue(house, ports, count, bad))
    outcome = Outcome()
    url = house.settings.database.url.get_secret_value().replace("+psycopg", "")
    with served(house, _PUMP, 1) as pump, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE deliveries SET next_attempt_at = clock_timestamp()")
        began, cpu = time.perf_counter(), cpu_seconds(list(pump.pids))
        while _left(connection, healthy):
            assert time.perf_counter() - began < _MOST_S, "the pump does not get on"
            time.sleep(0.05)
        outcome.seconds = time.perf_counter() - began
        outcome.cpu_s = cpu_seconds(list(pump.pids)) - cpu
        outcome.latencies = _latencies(connection, healthy)
        connection.execute("TRUNCATE webhook_endpoints CASCADE")
    return outcome


def neighbours(house: House, found: Receivers, count: int) -> dict[str, float]:
    """p99 of the attempts at healthy endpoints alone, and with the bad ones beside them, in ms."""
    alone = pumped(house, found.healthy, count)
    beside = pumped(house, found.healthy, count, found.ports[HEALTHY:])
    return {
        "alone_per_s": alone.done / alone.seconds,
        "beside_per_s": beside.done / beside.seconds,
        "alone_p99_ms": 1000 * quantiles(alone.latencies, n=100)[98],
        "beside_p99_ms": 1000 * quantiles(beside.latencies, n=100)[98],
    }


async def _queue(house: House, ports: Sequence[int], count: int, bad: Sequence[int]) -> list[UUID]:
    """Endpoints and deliveries, due in an hour. Returns the healthy endpoints' ids."""
    async with opened(house.settings) as resources:
        now = resources.clock.now()
        points = [_endpoint(resources.keys, port, now) for port in (*ports, *bad)]
        ids = [point["id"] for point in points]
        each = count // len(ports)
        async with resources.sessions.begin() as session:
            await session.execute(insert(Endpoint), points)
            rows = [
                {
                    "id": new_id(),
                    "endpoint_id": id_,
                    "type": "incident.reported",
                    "body": _BODY,
                    "next_attempt_at": now.replace(year=now.year + 1),
                    "created_at": now,
                }
                for id_ in ids
                for _ in range(each)
            ]
            await session.execute(insert(Delivery), rows)
        return [UUID(str(id_)) for id_ in ids[: len(ports)]]


def _endpoint(keys: Keys, port: int, now: object) -> dict[str, object]:
    return {
        "id": new_id(),
        "url": f"http://{HOST}:{port}/",
        "description": "",
        "types": ["*"],
        "area_codes": ["620802"],
        "ordered": False,
        "state": "active",
        "secret": keys.seal(sealing.PURPOSE, new_secret()),
        "owner_area": "620802",
        "created_by": new_id(),
        "created_at": now,
    }


def _left(connection: psycopg.Connection, healthy: list[UUID]) -> int:
    row = connection.execute(
        "SELECT count(*) FROM deliveries WHERE endpoint_id = ANY(%s) AND state <> 'delivered'",
        (healthy,),
    ).fetchone()
    return int(row[0]) if row else 0


def _latencies(connection: psycopg.Connection, healthy: list[UUID]) -> list[float]:
    rows = connection.execute(
        "SELECT a.latency_ms / 1000.0 FROM delivery_attempts a JOIN deliveries d"
        " ON d.id = a.delivery_id WHERE d.endpoint_id = ANY(%s)",
        (healthy,),
    )
    return [float(row[0]) for row in rows]


def _send_bare(ports: list[int], count: int) -> Outcome:
    return uvloop.run(_send_all(ports, count))


async def _send_all(ports: list[int], count: int) -> Outcome:
    outcome, secret = Outcome(), new_secret()
    sender = HttpSender((ip_network("127.0.0.0/8"),))

    async def lane(port: int, share: int) -> None:
        for _ in range(share):
            headers = signed_headers([secret], str(new_id()), datetime.now(UTC), _BODY)
            began = time.perf_counter()
            answer = await sender.send(f"http://{HOST}:{port}/", headers, _BODY)
            assert answer.delivered, answer
            outcome.latencies.append(time.perf_counter() - began)

    began, cpu = time.perf_counter(), time.process_time()
    share = count // (len(ports) * LANES)
    await asyncio.gather(*(lane(port, share) for port in ports for _ in range(LANES)))
    outcome.seconds = time.perf_counter() - began
    outcome.cpu_s = time.process_time() - cpu
    await sender.close()
    return outcome


def _receive(pipe: Connection) -> None:
    uvloop.run(_receive_all(pipe))


async def _receive_all(pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    kinds = ["ok"] * HEALTHY + list(BAD)
    servers = [await loop.create_server(partial(_Answering, kind), HOST, 0) for kind in kinds]
    pipe.send([server.sockets[0].getsockname()[1] for server in servers])
    await loop.create_future()


class _Answering(asyncio.Protocol):
    """One platform's connection: answers as its kind does, as cheaply as can be."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or len(self._received) < end + 4 + len(_BODY):
            return
        self._received = b""
        loop = asyncio.get_running_loop()
        if self._kind == "slow":
            loop.call_later(2.0, self._say, b"HTTP/1.1 204 No Content\r\n\r\n")
        elif self._kind == "big":
            self._say(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n" + bytes(10**6))
        elif self._kind == "ok":
            self._say(b"HTTP/1.1 204 No Content\r\n\r\n")

    def _say(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)
