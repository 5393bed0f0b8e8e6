"""Anchoring: one a night, over what changed, chained, and out of the database the same night."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import orjson
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from app.core.object_store import StoreUnavailable
from app.evidence import merkle
from app.evidence.anchoring import anchor
from app.evidence.flaws import copy_flaws, kept_anchors
from app.evidence.models import Anchor, AnchoredLeaf
from app.evidence.writing import GENESIS, anchor_digest, anchor_text, object_key
from app.worker import upkeep
from tests.district import District
from tests.evidence.conftest import NIGHT, closed_matter, export, night
from tests.evidence.test_verify import verify
from tests.incidents.paths import WORKER


async def _anchors(district: District) -> list[Anchor]:
    async with district.resources.sessions.read() as session:
        return list(await session.scalars(select(Anchor).order_by(Anchor.seq)))


async def test_one_a_night_however_often_the_upkeep_comes(district: District) -> None:
    district.clock.advance(NIGHT)
    for _ in range(30):
        await upkeep(district.resources)
        district.clock.advance(timedelta(hours=1))
    nights = [each.night for each in await _anchors(district)]
    assert nights == [date(2026, 3, 12), date(2026, 3, 13)]


async def test_two_processes_make_one(district: District) -> None:
    await district.report()
    district.clock.advance(NIGHT)
    await asyncio.gather(*(anchor(district.resources) for _ in range(4)))
    (made,) = await _anchors(district)
    assert made.leaves == 1


async def test_before_two_at_night_nothing_is_anchored(district: District) -> None:
    district.clock.advance(timedelta(hours=13, minutes=59))
    await anchor(district.resources)
    assert await _anchors(district) == []
    district.clock.advance(timedelta(minutes=1))
    await anchor(district.resources)
    assert len(await _anchors(district)) == 1


async def test_each_covers_what_changed_and_the_one_before(district: District) -> None:
    await district.report()
    matter = await closed_matter(district)
    await night(district)
    await night(district)
    await district.act(WORKER, matter["id"], "rate", score=5, text="好")
    await night(district)
    first, idle, last = await _anchors(district)
    # two histories and one file; nothing; one history
    assert [each.leaves for each in (first, idle, last)] == [3, 0, 1]
    assert [each.previous for each in (first, idle, last)] == [GENESIS, first.digest, idle.digest]
    assert idle.root == merkle.EMPTY
    for each in (first, idle, last):
        assert each.digest == hashlib.sha256(anchor_text(each).encode()).digest()
    async with district.resources.sessions.read() as session:
        heads = await session.scalar(select(func.count()).select_from(AnchoredLeaf))
    assert heads == 4


async def test_an_anchor_is_another_where_the_one_before_is(district: District) -> None:
    await night(district)
    (made,) = await _anchors(district)
    kept = anchor_digest(made)
    assert kept == made.digest
    made.previous = bytes([1]) * 32
    assert anchor_digest(made) != kept


async def test_the_digest_is_in_the_log_and_in_the_store(district: District) -> None:
    await district.report()
    district.clock.advance(NIGHT)
    with capture_logs() as logs:
        await anchor(district.resources)
    (made,) = await _anchors(district)
    (line,) = [line for line in logs if line["event"] == "anchored"]
    assert line["digest"] == made.digest.hex()
    copy = orjson.loads(district.store.objects["evidence/2026-03-12.json"].body)
    assert copy["digest"] == made.digest.hex()
    assert hashlib.sha256(copy["hashed"].encode()).hexdigest() == made.digest.hex()
    assert object_key(made.night) == "evidence/2026-03-12.json"


async def test_a_store_that_is_down_gets_its_copy_when_it_is_back(district: District) -> None:
    district.clock.advance(NIGHT)
    district.store.down = True
    with pytest.raises(StoreUnavailable):
        await anchor(district.resources)
    (made,) = await _anchors(district)
    assert made.kept_at is None
    district.store.down = False
    await anchor(district.resources)
    (made,) = await _anchors(district)
    assert made.kept_at == district.clock.now()
    assert "evidence/2026-03-12.json" in district.store.objects


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE anchors SET digest = sha256('')",
        "UPDATE anchors SET kept_at = NULL",
        "DELETE FROM anchors",
        "UPDATE anchored_leaves SET digest = sha256('')",
        "DELETE FROM anchored_leaves",
    ],
)
async def test_what_is_anchored_is_neither_changed_nor_removed(
    district: District, change: str
) -> None:
    await district.report()
    await night(district)
    with pytest.raises(DBAPIError, match="append-only"):
        async with district.resources.sessions.begin() as session:
            await session.execute(text(change))


async def test_a_proof_in_a_tree_of_many_blocks(
    district: District, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in ("anchoring", "exporting", "queries"):
        monkeypatch.setattr(f"app.evidence.{module}.BLOCK", 4)
    reports = [(await district.report())["id"] for _ in range(11)]
    await night(district)
    (made,) = await _anchors(district)
    assert (made.leaves, len(made.blocks)) == (11, 3 * 32)
    for report in (reports[0], reports[5], reports[10]):
        status, said = verify(tmp_path, await export(district, WORKER, report))
        assert status == 0, said


async def test_v8_an_anchor_that_differs_from_its_copy_is_named(district: District) -> None:
    """Whoever makes the database's whole evidence anew has not made the copies anew."""
    store, key = district.store, "evidence/2026-03-12.json"
    await night(district)
    await night(district)
    async with district.resources.sessions.read() as session:
        anchors = await kept_anchors(session, None)
    assert [each.seq for each in anchors] == [2, 1]
    assert [each async for each in copy_flaws(store, anchors)] == []
    kept = store.objects[key]
    for body in (b"{}", b"no json", kept.body.replace(b'"digest":"', b'"digest":"0')):
        store.objects[key] = replace(kept, body=body)
        (found,) = [each async for each in copy_flaws(store, anchors)]
        assert found == ("2026-03-12", "the anchor is not the one in the object store")
    del store.objects[key]
    (found,) = [each async for each in copy_flaws(store, anchors)]
    assert found == ("2026-03-12", "the anchor's copy in the object store is gone")
