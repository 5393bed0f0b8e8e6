"""V5 holds after ordinary work, and is seen broken where somebody breaks it."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.system.invariants import Violation, check_all
from app.system.ledgers import Ledger, verified_by_platforms
from tests.webhooks.receivers import Platform


async def _found(platform: Platform, ledger: Ledger) -> list[Violation]:
    resources = platform.district.resources
    async with resources.sessions.read() as session:
        found = await check_all(session, resources.clock.now())
        return found + await verified_by_platforms(session, ledger)


def _ledger(platform: Platform) -> Ledger:
    calls = platform.receiver.calls
    lines = [
        f'{{"kind":"delivery","webhook_id":"{c.headers["webhook-id"]}","type":"{c.json["type"]}"}}'
        for c in calls
    ]
    return Ledger.read(lines)


async def test_v5_holds_for_what_was_delivered(platform: Platform) -> None:
    await platform.subscribe(ordered=True)
    await platform.district.report()
    await platform.told()
    assert len(platform.receiver.calls) == 3
    assert await _found(platform, _ledger(platform)) == []


async def test_v5_a_delivery_no_platform_verified_is_found(platform: Platform) -> None:
    await platform.subscribe()
    await platform.district.report()
    await platform.told()
    platform.receiver.calls.pop()
    (violation,) = await _found(platform, _ledger(platform))
    assert violation.invariant == "V5"
    assert "has not got it" in violation.what


LATE = (
    "UPDATE deliveries SET delivered_at = delivered_at + interval '1 hour'"
    " WHERE type = 'incident.reported'"
)
LOST = (
    "UPDATE deliveries SET state = 'sending', next_attempt_at = created_at"
    " WHERE type = 'incident.step_opened'"
)
GONE = "DELETE FROM deliveries WHERE type = 'incident.reported'"


@pytest.mark.parametrize(
    ("harm", "said"),
    [(LATE, "a later event first"), (LOST, "beyond its lease"), (GONE, "never sent")],
)
async def test_v5_harm_is_seen(platform: Platform, harm: str, said: str) -> None:
    await platform.subscribe(ordered=True)
    await platform.district.report()
    await platform.told()
    async with platform.district.resources.sessions.begin() as session:
        await session.execute(text(harm))
    platform.district.clock.advance(timedelta(hours=2))
    found = await _found(platform, _ledger(platform))
    assert any(v.invariant == "V5" and said in v.what for v in found), found
