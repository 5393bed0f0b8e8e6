"""The whole table: every row from every state it starts in, and what each leaves behind."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.core.db import new_id
from app.incidents.chain import first_break
from app.incidents.status import (
    AUTOMATIC,
    FINAL,
    FREE,
    INTERNAL,
    TRANSITIONS,
    Action,
    Happening,
    State,
)
from app.notifications.models import Notice
from tests.district import LIUHU, POLICE_LIUHU, YONGHONG, District
from tests.incidents.filled import BEFORE, FILLED, mover
from tests.incidents.paths import (
    LEADER,
    POLICE,
    TOWNSHIP,
    WORKER,
    incident_in,
    look,
    pass_time,
    photo,
    rows_of,
    signed_in,
    walk,
)

FIELDS: dict[Action, dict[str, Any]] = {
    Action.DISPATCH: {"to_unit": POLICE_LIUHU},
    Action.HAND_DOWN: {"to_unit": YONGHONG},
    Action.ASSIST: {"to_unit": f"{LIUHU}-justice"},
    Action.INFORM: {"to_unit": f"{LIUHU}-emergency"},
    Action.SUSPEND: {"review_on": "2026-04-20"},
    Action.SUPERVISE: {"level": "yellow"},
    Action.RAISE_URGENCY: {"level": "urgent"},
    Action.ASSIGN_FROM_ABOVE: {"level": "city", "text": "限期化解", "due_on": "2026-12-31"},
}


async def _filled(district: District, row: Any, incident: str, who: str) -> dict[str, Any]:
    fields = {need: FILLED[need] for need in row.needs if need in FILLED} | FIELDS.get(
        row.action, {}
    )
    if "into" in row.needs:
        # the police see what they have a step with
        other = await incident_in(district, "dispatched" if who == POLICE else "submitted")
        fields["into"] = (await look(district, who, other))["number"]
        if row.action is Action.UNRELATE:
            await walk(district, incident, (who, "relate", {"into": other}))
    if row.action in {Action.ADD_MEDIA, Action.SELF_HANDLE}:
        attachment = str(new_id())
        url = f"/v1/incidents/{incident}/attachments/{attachment}"
        client = await signed_in(district, WORKER)
        assert (await client.put(url, content=photo())).status_code == 201
        await district.drain()
        fields["attachments"] = [attachment]
    return fields


ROWS = [(row, state) for row in TRANSITIONS for state in sorted(row.sources)]


@pytest.mark.parametrize(
    ("row", "state"), ROWS, ids=[f"{row.action}-{state}" for row, state in ROWS]
)
async def test_v3_v6_every_row_from_every_state_it_starts_in(
    shared_district: District, row: Any, state: State
) -> None:
    """It is offered, it succeeds, and it leaves a history entry, events and somebody told."""
    incident = await incident_in(shared_district, state)
    who = mover(row.who, state)
    if row.action in BEFORE:
        await walk(shared_district, incident, BEFORE[row.action])
    fields = await _filled(shared_district, row, incident, who)
    assert row.action in (await look(shared_district, who, incident))["allowed_actions"]
    before = await rows_of(shared_district, incident)
    await walk(shared_district, incident, (who, row.action, fields))
    after = await rows_of(shared_district, incident)
    target = row.target or state
    assert (after.incident.state, after.history[-1].to_state) == (target, target)
    assert after.history[-1].action == row.action
    assert after.incident.revision == before.incident.revision + (row.action not in FREE)
    assert first_break(after.history) is None
    assert len(after.current) == (0 if target in FINAL else 1)
    assert after.incident.owner_unit_id is not None
    if target in FINAL:
        assert after.incident.wakes_at is None
    else:
        assert after.incident.wakes_at is not None
    await _told(shared_district, before, after, row.action)


async def _told(district: District, before: Any, after: Any, action: str) -> None:
    """New events, all worked off; the reporter hears of all that is not internal."""
    fresh = after.events[len(before.events) :]
    assert fresh
    assert all(event.processed_at for event in fresh)
    async with district.resources.sessions.read() as session:
        people = set(
            await session.scalars(
                select(Notice.person_id).where(Notice.event_id.in_([e.id for e in fresh]))
            )
        )
    silent = INTERNAL | {Action.RATE, Action.COMMENT}
    assert (after.incident.reporter_id in people) is (action not in silent)
    if action in INTERNAL - {Action.RELATE, Action.UNRELATE, Action.NOTE}:
        assert people, f"nobody was told of {action}"


async def test_what_happens_by_itself_from_every_state(district: District) -> None:
    """Nobody does anything any more: each matter ends, or is red where people must act."""
    seen: set[tuple[str, str | None]] = set()
    known = {}
    for state in ("submitted", "accepted", "dispatched", "in_progress", "handled", "suspended"):
        known[state] = await incident_in(district, state, urgency="complex")
    for state in ("returned", "closed"):
        known[state] = await incident_in(district, state)
    deserted = await incident_in(district, "accepted")
    justice = {"to_unit": f"{LIUHU}-justice"}  # nobody works there
    await walk(district, deserted, (TOWNSHIP, "dispatch", justice))
    for incident in (*known.values(), deserted):
        today = {"level": "city", "text": "限期化解", "due_on": "2026-03-11"}
        if incident != known["closed"]:
            official = {"document_number": "崆政法〔2026〕3号", "leading_official": "王某"}
            await walk(district, incident, (LEADER, "assign_from_above", today | official))
    await pass_time(district, timedelta(hours=12))
    for _ in range(100):
        await pass_time(district, timedelta(days=1))
    for incident in (*known.values(), deserted):
        rows = await rows_of(district, incident)
        assert first_break(rows.history) is None
        assert all(event.processed_at for event in rows.events)
        seen |= {(entry.action, entry.from_state) for entry in rows.history}
        assert rows.incident.owner_unit_id is not None
        step = rows.current[0] if rows.current else None
        assert (rows.incident.state in FINAL) is (step is None)
        assert step is None or (step.clock_phase, rows.incident.wakes_at) == ("red", None)
    wanted = {(str(row.action), str(state)) for row in AUTOMATIC for state in row.sources}
    wanted.remove((str(Happening.RECALL), "in_progress"))  # test_clocks.py
    assert wanted - seen == set()
