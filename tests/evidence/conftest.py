"""A matter with a file whose history was anchored at night, and more that came after."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from app.core.audit_sealing import Sealing
from app.evidence.anchoring import anchor
from tests.conftest import NOON
from tests.district import DatabaseServer, District
from tests.incidents.paths import PATHS, WORKER, form, photo, signed_in, walk, with_photo

NIGHT = timedelta(hours=15)
"""From noon to three in the morning."""
SPOKEN = ((WORKER, "rate", {"score": 4, "text": "清理后又堆上了一些"}),)


async def night(district: District) -> None:
    """The hours until this night's upkeep."""
    district.clock.advance(NIGHT)
    await Sealing(district.resources.sessions).work()
    await anchor(district.resources)
    district.clock.advance(timedelta(days=1) - NIGHT)


async def closed_matter(district: District) -> dict[str, Any]:
    """The receipt of one that was walked to its end, with a file."""
    meta, files = with_photo(photo())
    worker = await signed_in(district, WORKER)
    answer = await worker.post("/v1/incidents", files=form(meta, files))
    assert answer.status_code == 201, answer.text
    await district.drain()
    await walk(district, meta["id"], *PATHS["closed"])
    receipt: dict[str, Any] = answer.json()
    return receipt


async def export(district: District, who: str, incident_id: str) -> dict[str, Any]:
    answer = await (await signed_in(district, who)).get(f"/v1/incidents/{incident_id}/evidence")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


@dataclass
class Proven:
    """One matter among others, anchored; and one word since then."""

    district: District
    incident: str
    number: str
    evidence: dict[str, Any]


@pytest.fixture(scope="module")
async def proven(server: DatabaseServer, district_template: str) -> AsyncIterator[Proven]:
    name = server.create(template=district_template)
    async with District.opened(server.url(name), NOON) as district:
        for _ in range(4):
            await district.report()
        receipt = await closed_matter(district)
        await district.report()
        await night(district)
        await walk(district, receipt["id"], *SPOKEN)
        evidence = await export(district, WORKER, receipt["id"])
        yield Proven(district, receipt["id"], receipt["number"], evidence)
    server.drop(name)
