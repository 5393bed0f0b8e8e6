"""Imports in the background, with real commits."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from app.areas.jobs import LEASE, AreaImports, Submitted
from app.areas.models import Area, AreaImport
from app.areas.queries import import_by_id
from app.core.audit import AuditEntry
from app.core.clock import FakeClock
from app.core.db import new_id
from app.core.errors import TooManyRequests
from app.core.resources import Resources
from tests.areas.conftest import SQUARES, TREE, Cast

ROOT = "".join(TREE.splitlines(keepends=True)[:2])


async def poll(client: httpx.AsyncClient, resources: Resources, path: str) -> dict[str, Any]:
    await resources.the(AreaImports).settle()
    body: dict[str, Any] = (await client.get(path.removeprefix("/v1"))).json()
    return body


async def test_a_refused_import_shows_its_errors_and_writes_nothing(
    live_client: httpx.AsyncClient, committing: Resources
) -> None:
    answer = await live_client.post(
        "/areas/import",
        content="code,name,level,parent_code\nT9,新镇,township,999\n".encode("gb18030"),
        headers={"Content-Type": "text/csv; charset=gb18030"},
    )
    assert answer.status_code == 202
    shown = await poll(live_client, committing, answer.headers["location"])
    assert (shown["state"], shown["reason"]) == ("failed", "refused")
    assert shown["report"]["error_count"] == 1
    assert shown["report"]["errors"] == [
        {
            "line": 2,
            "code": "T9",
            "feature": None,
            "problem": "missing-parent",
            "message": {"zh": "上级区划 999 不存在", "en": "The parent 999 does not exist"},
        }
    ]
    assert (await live_client.get("/areas")).json()["items"] == []


async def test_a_bug_in_an_import_shows_as_internal_and_rolls_back(
    live_client: httpx.AsyncClient, committing: Resources
) -> None:
    # something no check foresees: the database refuses the last row
    async with committing.sessions.begin() as session:
        await session.execute(text("ALTER TABLE areas ADD CONSTRAINT trap CHECK (code <> 'G3')"))
    try:
        with capture_logs() as logs:
            import_id = await committing.the(AreaImports).start(Submitted(TREE))
            shown = await poll(live_client, committing, f"/areas/import/{import_id}")
        assert [entry["event"] for entry in logs] == ["area_import_failed"]
    finally:
        async with committing.sessions.begin() as session:
            await session.execute(text("ALTER TABLE areas DROP CONSTRAINT trap"))
    assert (shown["state"], shown["reason"], shown["report"]) == ("failed", "internal", None)
    async with committing.sessions.read() as session:
        assert (await session.scalars(select(Area))).all() == []


async def test_too_many_waiting_imports_are_refused(committing: Resources) -> None:
    imports = committing.the(AreaImports)
    for _ in range(4):
        await imports.start(Submitted(TREE))
    with pytest.raises(TooManyRequests):
        await imports.start(Submitted(TREE))
    await imports.settle()
    await imports.start(Submitted(TREE))


async def test_an_import_left_by_a_dead_process_shows_as_interrupted(
    client: httpx.AsyncClient, session: AsyncSession, clock: FakeClock
) -> None:
    left = {"id": new_id(), "state": "running", "done": 3, "total": 9, "created_at": clock.now()}
    await session.execute(insert(AreaImport).values(**left, beat_at=clock.now()))
    await session.commit()
    shown = (await client.get(f"/areas/import/{left['id']}")).json()
    assert (shown["state"], shown["reason"]) == ("running", None)
    clock.advance(LEASE + timedelta(seconds=1))
    shown = (await client.get(f"/areas/import/{left['id']}")).json()
    assert (shown["state"], shown["reason"]) == ("failed", "interrupted")


async def test_an_import_runs_is_audited_and_is_seen_at_once(
    live_client: httpx.AsyncClient, committing: Resources, cast: Cast
) -> None:
    where = "/areas/locate?lon=106.665&lat=35.545"
    assert (await live_client.get(where)).json()["grid"] is None
    answer = await live_client.post(
        "/areas/import",
        content=orjson.dumps({"csv": TREE, "geometries": [SQUARES]}),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/areas/import/{answer.json()['id']}"
    shown = await poll(live_client, committing, answer.headers["location"])
    assert (shown["state"], shown["done"], shown["total"]) == ("done", 9, 9)
    assert (shown["reason"], shown["report"]["created"]) == (None, 9)
    # no second has passed: the import itself told the map to look again
    assert (await live_client.get(where)).json()["grid"]["code"] == "G1"
    async with committing.sessions.read() as session:
        entry = (await session.scalars(select(AuditEntry))).one()
    assert (entry.actor_id, entry.action) == (cast.id, "areas.imported")
    assert (entry.object_id, entry.facts["created"]) == (shown["id"], 9)


async def test_two_imports_at_once_leave_one_current_version(committing: Resources) -> None:
    """Two processes, the same new areas: the second waits, then finds nothing to change."""
    other = Resources(
        committing.settings,
        committing.sessions,
        committing.store,
        committing.wakeups,
        committing.clock,
    )
    # the lock's row is there already, so that only the lock itself can make one wait
    await committing.the(AreaImports).start(Submitted(ROOT))
    await committing.the(AreaImports).settle()
    both = [it.the(AreaImports) for it in (committing, other)]
    ids = await asyncio.gather(*(imports.start(Submitted(TREE)) for imports in both))
    await asyncio.gather(*(imports.settle() for imports in both))
    async with committing.sessions.read() as session:
        found = [await import_by_id(session, import_id) for import_id in ids]
        reports = [one.report or {} for one in found]
    assert [one.state for one in found] == ["done", "done"]
    assert sorted(report["created"] for report in reports) == [0, 8]
    assert sorted(report["unchanged"] for report in reports) == [1, 9]
