"""(g) Lists over a million incidents: each question next to a read by primary key, same API.

Every question is asked as four people see the district, one connection at a time, the yardstick
before and after it, so that a ratio survives what the machine does meanwhile. The plans are taken
from the product's own statements and written beside the figures.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx
from sqlalchemy import Select

from app.accounts.access_tokens import read_access_token
from app.accounts.recognition import recognise
from app.areas.locate import current_map
from app.categories.queries import current_tree
from app.core.paging import DEFAULT_LIMIT, Cursors
from app.core.resources import Resources
from app.incidents.list_schemas import Filters, ListQuery
from app.incidents.narrowing import Asking
from app.incidents.queries import MOST_COUNTED, counting, paging, queueing
from app.opening import opened
from tests.load.client import HOST
from tests.load.million import fill
from tests.load.servers import PASSWORD, PRODUCT, House, served

MILLION = 1_000_000
ASKED = 30
"""Requests of each question, in three turns with as many reads by key."""
_WARM = 6
"""Before it counts: a connection's statements are prepared by then."""
CAST = ("supervisor-kongtong", "desk-liuhu", "desk-yonghong", "worker-yonghong")
_FULL = re.compile(r"Seq Scan on (incidents|steps|sights|incident_words)\b")


@dataclass(frozen=True, slots=True)
class Question:
    name: str
    path: str
    filters: dict[str, str]
    deep: bool = False

    def statement(self, asking: Asking, edge: list[Any]) -> Select[Any]:
        if self.path.endswith("/queues"):
            return queueing(asking)
        if self.path.endswith("/count"):
            return counting(asking, Filters.model_validate(self.filters), MOST_COUNTED + 1)
        query = ListQuery.model_validate(self.filters)
        return paging(asking, query, edge if self.deep else None)


LIST, COUNT = "/v1/incidents", "/v1/incidents/count"
QUESTIONS = (
    Question("first page", LIST, {}),
    Question("deep page, a year back", LIST, {}, deep=True),
    Question("category", LIST, {"category": "0102"}),
    Question("state", LIST, {"state": "rejected"}),
    Question("category and state", LIST, {"category": "02", "state": "in_progress"}),
    Question("urgency", LIST, {"urgency": "critical"}),
    Question("overdue", LIST, {"overdue": "true"}),
    Question("red cards", LIST, {"supervision": "red"}),
    Question("within 500 m", LIST, {"near": "106.6837,35.5428,500"}),
    Question("mine", LIST, {"mine": "true"}),
    Question("by due date", LIST, {"sort": "due_at"}),
    Question("most pressing first", LIST, {"sort": "-urgency"}),
    Question("search 纠纷 (10 %)", LIST, {"q": "纠纷"}),
    Question("search 文物 (0.05 %)", LIST, {"q": "文物"}),
    Question("search 消防通道 柳湖", LIST, {"q": "消防通道 柳湖"}),
    Question("search of nothing", LIST, {"q": "甪里"}),
    Question("count", COUNT, {}),
    Question("count, category", COUNT, {"category": "0102"}),
    Question("count, search", COUNT, {"q": "纠纷"}),
    Question("queue accept", LIST, {"queue": "accept"}),
    Question("queue overdue", LIST, {"queue": "overdue"}),
    Question("queues", "/v1/incidents/queues", {}),
)


@dataclass(slots=True)
class Lists:
    """What was found; as the other comparisons, it is printed and written down."""

    count: int
    lines: list[dict[str, Any]] = field(default_factory=list)
    plans: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"title": "(g) lists", "incidents": self.count, "lines": self.lines}

    def as_markdown(self) -> str:
        head = ["who", "question", "p50 ms", "p95 ms", "p95 in reads by key", "plan"]
        rows = [head, ["---"] * len(head)]
        rows += [[str(line[name]) for name in head] for line in self.lines]
        table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
        return f"### (g) lists over {self.count:,} incidents, one connection\n\n{table}\n"

    def plans_as_markdown(self) -> str:
        return "\n".join(f"### {name}\n\n```\n{plan}\n```\n" for name, plan in self.plans.items())


def measure(house: House, scale: float, out: Path, say: Callable[[str], None]) -> Lists:
    """Fill, serve by one process, ask."""
    count = int(MILLION * scale)
    now = datetime.now(UTC)
    began = time.perf_counter()
    fill(house.settings.database.url.get_secret_value(), count, now, say)
    say(f"  {count} incidents in {time.perf_counter() - began:.0f} s")
    found = Lists(count)
    with served(house, PRODUCT, processes=1) as product:
        (port,) = product.ports
        for question in QUESTIONS:
            for username in CAST:
                token = _token(port, username)  # one lives for minutes, this for longer
                line = asyncio.run(_ask(house, port, token, username, question, found))
                say("  {who:<20} {question:<26} p50 {p50 ms:>8} p95 {p95 ms:>8} = "
                    "{p95 in reads by key:>6} reads  {plan}".format_map(line))  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    (out / "plans.md").write_text(found.plans_as_markdown(), encoding="utf-8")
    return found


async def _ask(
    house: House, port: int, token: str, username: str, question: Question, found: Lists
) -> dict[str, Any]:
    async with opened(house.settings) as resources:
        asking = await _asking(resources, token)
        key, edge = await _somewhere(resources, asking)
        plan = await _plan(resources, question.statement(asking, edge))
        target = _target(resources, asking, question, edge)
    read = f"/v1/incidents/{key}"
    yardstick: list[float] = []
    asked: list[float] = []
    connection = HTTPConnection(HOST, port)
    for turn in range(3):
        for path, times in ((read, yardstick), (target, asked)):
            cold = 0 if turn else _WARM
            times.extend(_times(connection, token, path, ASKED // 3 + cold)[cold:])
    connection.close()
    line = {
        "who": username,
        "question": question.name,
        "p50 ms": f"{median(asked):.1f}",
        "p95 ms": f"{_p95(asked):.1f}",
        "p95 in reads by key": f"{_p95(asked) / _p95(yardstick):.1f}",
        "plan": "SEQ SCAN" if _FULL.search(plan) else _indexes(plan),
    }
    found.lines.append(line)
    found.plans[f"{username}: {question.name}"] = plan
    return line


def _times(connection: HTTPConnection, token: str, target: str, count: int) -> list[float]:
    """Milliseconds from the request to the last byte, in order."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        connection.request("GET", target, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
        times.append(1000 * (time.perf_counter() - began))
        assert answer.status == HTTPStatus.OK, body
    return times


def _p95(times: list[float]) -> float:
    return quantiles(times, n=20)[18]


async def _asking(resources: Resources, token: str) -> Asking:
    caller = await recognise(resources, read_access_token(resources, token))
    areas, categories = await current_map(resources), await current_tree(resources)
    return Asking(caller, resources.clock.now(), areas, categories)


async def _somewhere(resources: Resources, asking: Asking) -> tuple[UUID, list[Any]]:
    """An incident of the caller's first page, and the edge of a page a year back."""
    async with resources.sessions.read() as session:
        row = (await session.execute(paging(asking, ListQuery(limit=1), None))).first()
    assert row is not None
    then = resources.clock.now() - timedelta(days=365)
    return row[0].id, [then.isoformat(), str(UUID(int=2**127))]


def _target(resources: Resources, asking: Asking, question: Question, edge: list[Any]) -> str:
    given = dict(question.filters)
    if question.deep:
        wanted = ListQuery.model_validate(given).model_copy(update={"limit": DEFAULT_LIMIT})
        named = f"incidents:{asking.caller.id}:{wanted.model_dump_json()}"
        given["cursor"] = Cursors(resources.keys, named).make(edge)
    return question.path + ("?" + urlencode(given) if given else "")


async def _plan(resources: Resources, statement: Select[Any]) -> str:
    """With the values in it, as the server plans it."""
    async with resources.sessions.read() as session:
        bind = await session.connection()
        compiled = statement.compile(bind.engine, compile_kwargs={"render_postcompile": True})
        rows = await bind.exec_driver_sql(
            f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {compiled}", compiled.params
        )
        return "\n".join(str(row[0]) for row in rows)


def _indexes(plan: str) -> str:
    names = re.findall(r"(?:using|Index Scan on|Scan using) ((?:ix|pk|uq)_\w+)", plan)
    return ", ".join(dict.fromkeys(names))


def _token(port: int, username: str) -> str:
    form = {"grant_type": "password", "username": username, "password": PASSWORD}
    with httpx.Client(base_url=f"http://{HOST}:{port}", trust_env=False) as client:
        answer = client.post("/v1/token", data=form).raise_for_status()
    return str(answer.json()["access_token"])
