"""交办: what a level above requires has a clock of its own, beside the step's."""

from datetime import timedelta

from tests.district import District
from tests.incidents.paths import (
    ACCEPT,
    COMPLETE,
    DISPATCH,
    LEADER,
    PASS,
    SIGN,
    TOWNSHIP,
    WORKER,
    Move,
    incident_in,
    look,
    pass_time,
    rows_of,
    walk,
)
from tests.incidents.waiting import happened, titles, workers

ASSIGNED: Move = (
    LEADER,
    "assign_from_above",
    {
        "level": "city",
        "document_number": "平政法督〔2026〕7号",
        "leading_official": "李副市长",
        "text": "限期化解，书面报告",
        "due_on": "2026-03-12",
    },
)


async def test_an_assignment_runs_out_with_its_day_whatever_the_state(district: District) -> None:
    """The day named is the last one; then who assigned it hears so, and a card is drawn, once."""
    incidents = {
        state: await incident_in(district, state, urgency="complex")
        for state in ("in_progress", "suspended", "returned")
    }
    for incident in incidents.values():
        shown = await walk(district, incident, ASSIGNED)
        assert shown["assignment"]["due_at"] == "2026-03-12T16:00:00Z"
        assert shown["assignment"]["light"] == "green"
    await pass_time(district, timedelta(days=1, hours=11, minutes=59))
    for incident in incidents.values():
        assert happened(await rows_of(district, incident)) == []
        shown = await look(district, TOWNSHIP, incident)
        assert shown["assignment"]["light"] == "yellow"
    district.clock.advance(timedelta(minutes=1))
    await workers(district)
    await pass_time(district, timedelta(minutes=1))
    for state, incident in incidents.items():
        rows = await rows_of(district, incident)
        assert happened(rows) == ["overdue", "card yellow"], state
        assert rows.history[-2].facts == {"stage": "assignment"}
        assert rows.incident.state == state
        assert (await look(district, TOWNSHIP, incident))["assignment"]["light"] == "red"
        assert {"交办已超期", "黄牌督办"} <= set(await titles(district, LEADER, incident))
    await pass_time(district, timedelta(days=2))  # the reporter's three days end
    returned = await rows_of(district, incidents["returned"])
    assert (returned.incident.state, returned.incident.wakes_at) == ("voided", None)
    assert "逾期未补正，已作废" in await titles(district, LEADER, incidents["returned"])


async def test_a_matter_that_is_closed_in_time_is_reported_back_and_never_overdue(
    district: District,
) -> None:
    incident = await incident_in(district, "in_progress", urgency="complex")
    await walk(district, incident, ASSIGNED, COMPLETE, PASS)
    assert "核查通过，已办结" in await titles(district, LEADER, incident)
    await pass_time(district, timedelta(days=3))
    assert happened(await rows_of(district, incident)) == []
    shown = await look(district, WORKER, incident)
    assert shown["assignment"]["light"] is None
    # once more: the day is over already, which is said at once
    await walk(district, incident, (WORKER, "reopen", {"reason": "又起争执"}))
    await pass_time(district)
    assert happened(await rows_of(district, incident)) == ["overdue", "card yellow"]


async def test_the_steps_own_clock_goes_on_beside_the_assignment(district: District) -> None:
    """Both run out in one moment: both have their consequence, and only one card is drawn."""
    incident = (await district.report(urgency="urgent"))["id"]
    await walk(district, incident, ACCEPT, DISPATCH, SIGN, ASSIGNED)
    await pass_time(district, timedelta(days=2))
    rows = await rows_of(district, incident)
    assert happened(rows) == ["overdue", "card yellow", "overdue", "card red"]
    assert [entry.facts.get("stage") for entry in rows.history if entry.action == "overdue"] == [
        "assignment",
        "handle",
    ]
