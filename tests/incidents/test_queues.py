"""Queues of a desk: what it assists in, verifies for another one, or does in its place."""

from datetime import timedelta
from typing import Any

import pytest

from app.accounts.permissions import Role
from tests.district import District
from tests.incidents.paths import (
    ACCEPT,
    COMPLETE,
    DESK,
    POLICE,
    SEALED,
    TOP,
    TOWNSHIP,
    UP,
    hire,
    incident_in,
    pass_time,
    rows_of,
    signed_in,
    walk,
)

JUSTICE = "620802105-justice"
EITHER = pytest.mark.parametrize("changes", [{}, SEALED], ids=["open", "sealed"])


async def _waiting(district: District, who: str, incident: str) -> set[str]:
    """The queues in which it stands for this person; each is counted as it is listed."""
    client = await signed_in(district, who)
    found = set()
    for told in (await client.get("/v1/incidents/queues")).json()["items"]:
        params = {"queue": told["queue"], "limit": 200}
        listed = (await client.get("/v1/incidents", params=params)).json()["items"]
        assert told["count"] == len(listed)
        found |= {told["queue"] for item in listed if item["id"] == incident}
    return found


@EITHER
async def test_what_a_unit_assists_in_waits_until_the_lead_is_done(
    district: District, changes: dict[str, Any]
) -> None:
    await hire(district, "justice", (Role.HANDLER, JUSTICE))
    incident = await incident_in(district, "in_progress", **changes)
    assert await _waiting(district, "justice", incident) == set()
    await walk(district, incident, (POLICE, "assist", {"to_unit": JUSTICE}))
    assert await _waiting(district, "justice", incident) == {"assist"}
    assert await _waiting(district, POLICE, incident) == {"handle"}
    await walk(district, incident, COMPLETE)
    assert await _waiting(district, "justice", incident) == set()
    assert await _waiting(district, TOWNSHIP, incident) == {"verify"}


@EITHER
async def test_what_a_centre_has_nobody_to_verify_waits_at_the_one_above(
    district: District, changes: dict[str, Any]
) -> None:
    incident: str = (await district.report(**changes))["id"]
    await walk(district, incident, (DESK, "accept", {}), (DESK, "handle_here", {}))
    assert await _waiting(district, TOWNSHIP, incident) == set()
    await walk(district, incident, (DESK, "complete", {"outcome": "已劝阻"}))
    assert await _waiting(district, TOWNSHIP, incident) == {"verify"}
    assert await _waiting(district, TOP, incident) == set()
    await walk(district, incident, (TOWNSHIP, "verify_pass", {}))
    assert await _waiting(district, TOWNSHIP, incident) == set()


@EITHER
async def test_what_was_let_lie_is_late_where_somebody_may_act_instead(
    district: District, changes: dict[str, Any]
) -> None:
    incident: str = (await district.report(**changes))["id"]
    await walk(district, incident, UP, ACCEPT)
    while (await rows_of(district, incident)).current[0].stand_in_unit_id is None:
        assert await _waiting(district, TOP, incident) == set()
        await pass_time(district, timedelta(days=1))
    assert await _waiting(district, TOP, incident) == {"overdue"}
    assert await _waiting(district, TOWNSHIP, incident) == {"dispatch", "overdue"}
    assert await _waiting(district, DESK, incident) == set()


async def test_suspended_and_returned_matters_wait_for_no_desk(district: District) -> None:
    for state in ("suspended", "returned", "merged", "transferred", "closed"):
        incident = await incident_in(district, state)
        for who in (DESK, TOWNSHIP, POLICE, TOP):
            assert await _waiting(district, who, incident) == set(), (state, who)
