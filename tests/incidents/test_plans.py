"""Twenty thousand incidents: no list of anybody reads the whole table."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import Select

from app.accounts.access_tokens import read_access_token
from app.accounts.recognition import recognise
from app.areas.locate import current_map
from app.categories.queries import current_tree
from app.incidents.list_schemas import Filters, ListQuery
from app.incidents.narrowing import Asking
from app.incidents.queries import counting, paging, queueing
from tests.conftest import NOON
from tests.district import DatabaseServer, District
from tests.load.million import fill

_MANY = 20_000
_FULL = re.compile(r"Seq Scan on (incidents|sights|incident_words)\b")
CAST = ("supervisor-kongtong", "desk-liuhu", "desk-yonghong", "worker-yonghong", "police-liuhu")


@pytest.fixture(scope="module")
async def full(server: DatabaseServer, district_template: str) -> AsyncIterator[District]:
    name = server.create(template=district_template)
    fill(server.url(name), _MANY, NOON, lambda _: None)
    async with District.opened(server.url(name), NOON) as district:
        yield district
    server.drop(name)


async def _asking(district: District, username: str) -> Asking:
    token = (await district.client(username)).headers["authorization"].removeprefix("Bearer ")
    resources = district.resources
    caller = await recognise(resources, read_access_token(resources, token))
    areas, categories = await current_map(resources), await current_tree(resources)
    return Asking(caller, NOON, areas, categories)


def _statements(asking: Asking) -> dict[str, Select[tuple[object, ...]]]:
    edge = [(NOON - timedelta(days=365)).isoformat(), "80000000-0000-0000-0000-000000000000"]
    return {
        "first page": paging(asking, ListQuery(), None),
        "deep page": paging(asking, ListQuery(), edge),
        "category": paging(asking, ListQuery(category="0102"), None),
        "state": paging(asking, ListQuery(state="rejected"), None),
        "near": paging(asking, ListQuery(near="106.68,35.54,500"), None),
        "rare word": paging(asking, ListQuery(q="文物"), None),
        "queue": paging(asking, ListQuery(queue="accept"), None),
        "count, search": counting(asking, Filters(q="文物"), 10_001),
        "queues": queueing(asking),
    }


@pytest.mark.parametrize("username", CAST)
async def test_every_list_is_answered_from_an_index(full: District, username: str) -> None:
    """Read as it is planned where reading a whole table costs nothing extra is forbidden."""
    asking = await _asking(full, username)
    wrong = []
    async with full.resources.sessions.read() as session:
        bind = await session.connection()
        # at this size a whole table is sometimes the cheapest; what counts is that none is needed
        await bind.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for name, statement in _statements(asking).items():
            made = statement.compile(bind.engine, compile_kwargs={"render_postcompile": True})
            rows = await bind.exec_driver_sql(f"EXPLAIN {made}", made.params)
            plan = "\n".join(str(row[0]) for row in rows)
            if _FULL.search(plan):
                wrong.append((name, plan))
    assert wrong == []


async def test_a_search_is_answered_by_its_words(full: District) -> None:
    asking = await _asking(full, "supervisor-kongtong")
    async with full.resources.sessions.read() as session:
        bind = await session.connection()
        statement = paging(asking, ListQuery(q="文物"), None)
        made = statement.compile(bind.engine, compile_kwargs={"render_postcompile": True})
        rows = await bind.exec_driver_sql(f"EXPLAIN {made}", made.params)
        assert "ix_incident_words_words" in "\n".join(str(row[0]) for row in rows)
