"""Bad media go through intake and into the children: right codes, no crash, no limit passed."""

import resource
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice

import pytest
from sqlalchemy import select, text

from app.core.db import new_id
from app.media import samples
from app.media.checks import sniff
from app.media.models import Examination
from tests.district import District, new_incident
from tests.faults.conftest import Tell
from tests.faults.corpus import CorpusMissing, pillows_pictures
from tests.media.broken import harmed

CODES = {None, "too-many-pixels", "undecodable", "too-much-memory", "too-much-time"}
"""What may come of a file; a decoder that crashes would be another one."""
MEMORY_KIB = 512 * 1024
A_REPORT = 12


async def take_in(district: District, files: Iterable[bytes]) -> Counter[int]:
    """Each as a late file of some report; how often intake answered what."""
    worker = await district.client("worker-yonghong")
    answered: Counter[int] = Counter()
    incoming = iter(files)
    while some := list(islice(incoming, A_REPORT)):
        meta = new_incident()
        assert (await worker.post("/v1/incidents", json=meta)).status_code == 201
        for body in some:
            url = f"/v1/incidents/{meta['id']}/attachments/{new_id()}"
            answer = await worker.put(url, content=body)
            assert answer.status_code == (201 if sniff(body[:64]) else 415), answer.text
            answered[answer.status_code] += 1
    return answered


def _peak_kib() -> int:
    """Of the greediest child that has ended."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


@pytest.fixture(autouse=True)
def modest() -> Iterator[None]:
    """No child takes more than it may; servers of tests before this one don't count."""
    before = _peak_kib()
    yield
    assert _peak_kib() <= max(before, MEMORY_KIB)


async def ends(district: District) -> Counter[str | None]:
    """What became of every file that was taken, by code; None: pictures were made."""
    await district.work_off()
    async with district.resources.sessions.read() as session:
        rows = (await session.execute(select(Examination.state, Examination.code))).all()
        left = await session.scalar(text("SELECT count(*) FROM procrastinate_jobs"))
    assert left == 0
    assert all(state in {"made", "failed"} for state, _ in rows)
    assert {code for _, code in rows} <= CODES
    return Counter(code for _, code in rows)


async def test_m12_m13_m14_harmed_media_are_told_apart_from_whole_ones(
    district: District, tell: Tell
) -> None:
    """Real media cut, with flipped bits, with pieces moved and zeroed."""
    whole = (
        samples.photo(1, 106.68, 35.54, datetime(2026, 3, 11, tzinfo=UTC)),
        samples.picture(1, "png"),
        samples.picture(1, "webp"),
        samples.video(1),
        samples.sound(1),
    )
    files = [
        body
        for seed, kind in enumerate(whole)
        for body in harmed(kind, seed, times=8)
        if len(body) > 0
    ]
    answered = await take_in(district, files)
    found = await ends(district)
    assert found.total() == answered[201] == len(files)
    assert found["undecodable"] > 0
    assert found[None] > 0
    tell(f"{len(files)} harmed files: {dict(found)}")


@pytest.mark.slow
async def test_m12_m13_pictures_that_broke_decoders_before_break_nothing_here(
    district: District, tell: Tell
) -> None:
    """A thousand of other people's: intake takes what it knows and refuses the rest."""
    try:
        files = [body for _, body in pillows_pictures() if body]
    except CorpusMissing as missing:
        pytest.skip(f"pip could not fetch Pillow's source package: {missing}")
    answered = await take_in(district, files)
    found = await ends(district)
    assert answered.total() == len(files) > 900
    assert found.total() == answered[201] > 400
    tell(f"{len(files)} files of Pillow's tests: {answered[415]} refused, {dict(found)}")
