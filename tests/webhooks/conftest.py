import random

import pytest

from app.webhooks.pump import Pump
from tests.district import District
from tests.webhooks.receivers import Platform, Receiver


@pytest.fixture
async def platform(district: District) -> Platform:
    receiver = Receiver()
    chance = random.Random(1)  # noqa: S311 - jitter
    return Platform(district, receiver, Pump(district.resources, receiver, chance))
