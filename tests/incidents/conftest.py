"""A served district and a phone that uploads to it."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import update

from app.media.models import Upload
from tests.district import District
from tests.incidents.listening import Served, served
from tests.incidents.uploading import Phone


@pytest.fixture(scope="module")
async def door(shared_district: District) -> AsyncIterator[Served]:
    async with served(shared_district) as door:
        yield door


@pytest.fixture
async def phone(door: Served) -> AsyncIterator[Phone]:
    yield await Phone.of(door)
    async with door.district.resources.sessions.begin() as session:
        # what a test leaves open must not count against the next one
        await session.execute(update(Upload).values(device="nobody"))
