"""Whatever people try, in whatever order: what is promised of every matter holds throughout."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, or_, select

from app.accounts.permissions import Role
from app.core.db import new_id
from app.core.parking import ParkedReaction
from app.incidents.status import BY_ACTION, FINAL, FREE, TRANSITIONS, Action, State, Transition
from app.notifications.models import Inbox, Notice
from app.routing.escalation import Clocks
from app.routing.models import RoutingRule
from tests.district import (
    KONGTONG,
    LIUHU,
    POLICE_LIUHU,
    YONGHONG,
    DatabaseServer,
    District,
)
from tests.district import new_incident as a_report
from tests.incidents.driving import World
from tests.incidents.filled import ASIDE, BEFORE, FILLED, FITTING, LEVELS, mover
from tests.incidents.paths import DESK, PATHS, Rows, hire, photo, rows_of
from tests.incidents.promised import (
    EDGES,
    expected,
    has_a_legal_history,
    has_one_owner,
    keeps_its_deadline,
    left_its_events,
    never_began_earlier,
    revisions,
)
from tests.incidents.seeing import see_the_same

WORKER = "worker-yonghong"
DEPARTMENTS = "0203"
"""A category whose matters a rule sends straight to a member department."""
PEOPLE = (
    WORKER,
    "desk-yonghong",
    "desk-liuhu",
    "desk-liuhu-2",
    "police-liuhu",
    "desk-kongtong",
    "supervisor-kongtong",
    "worker-minxin",
)
TOWN = (LIUHU, YONGHONG, POLICE_LIUHU, "620802105-justice", "620802003007", KONGTONG)
STAFF = {
    YONGHONG: ["desk-yonghong", "desk-liuhu"],
    LIUHU: ["desk-liuhu", "desk-liuhu-2", "desk-kongtong"],
    POLICE_LIUHU: ["police-liuhu", "desk-liuhu-2"],
    KONGTONG: ["desk-kongtong"],
}
"""Who may have something to do while a unit owns the matter, and who may verify for it."""
DETOURS = {
    Action.COMMENT,
    Action.RETURN,
    Action.REJECT,
    Action.WITHDRAW,
    Action.SELF_HANDLE,
    Action.RATE,
    Action.MERGE,
    Action.TRANSFER,
    *(row.action for row in BY_ACTION.values() if row.target is None),
}
"""Not what brings a matter far."""


class Matters(RuleBasedStateMachine):
    """A few matters of one grid, and everybody who might do something about them."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.known: dict[str, Rows] = {}
        self.began: dict[str, datetime | None] = {}

    @initialize(state=st.sampled_from(["submitted", "accepted", "in_progress", "handled"]))
    def begin(self, state: str) -> None:
        self.bring_into(state)

    @precondition(lambda self: len(self.known) < 3)
    @rule(
        urgency=st.sampled_from(["routine", "urgent", "critical", "complex"]),
        category=st.sampled_from(["0101", "0201", "0301", DEPARTMENTS]),
        self_handled=st.booleans(),
    )
    def report(self, urgency: str, category: str, *, self_handled: bool) -> None:
        changes: dict[str, Any] = {"urgency": urgency, "category": category}
        if self_handled:
            file = {"id": str(new_id()), "kind": "photo"}
            changes["attachments"] = [file]
            changes["self_handled"] = {"outcome": "已处理", "attachments": [file["id"]]}
        self._report(**changes)

    @rule(data=st.data(), moves=st.integers(2, 6), straight=st.booleans())
    def go_on(self, data: st.DataObject, moves: int, *, straight: bool) -> None:
        """Every action that is offered succeeds when it is filled in properly."""
        incident = data.draw(st.sampled_from(sorted(self.known)), label="incident")
        for _ in range(moves):
            who, shown, offered = self.world.run(self._somebody(data, incident, straight=straight))
            if shown is None:
                return
            action = Action(data.draw(st.sampled_from(offered), label="action"))
            self._move(who, incident, action, shown, self._filled(action, shown))

    @rule(
        data=st.data(),
        who=st.sampled_from(PEOPLE),
        actions=st.lists(st.sampled_from(sorted(BY_ACTION)), min_size=2, max_size=5, unique=True),
        revision=st.sampled_from(["right", "right", "right", "stale", "none"]),
        left_out=st.booleans(),
        to_unit=st.sampled_from(TOWN),
    )
    def try_anything(
        self,
        data: st.DataObject,
        who: str,
        actions: list[Action],
        revision: str,
        to_unit: str,
        *,
        left_out: bool,
    ) -> None:
        incident = data.draw(st.sampled_from(sorted(self.known)), label="incident")
        for action in actions:
            shown = self.world.run(self._look(who, incident))
            fields = self._filled(action, shown)
            if action in FITTING:
                fields["to_unit"] = to_unit
            if left_out and BY_ACTION[action].needs:
                fields.pop(min(BY_ACTION[action].needs), None)
            if revision != "right":
                seen = shown["revision"] if shown else 1
                fields["revision"] = seen + 1 if revision == "stale" else None
            self._move(who, incident, action, shown, fields)

    @rule(data=st.data(), seconds=st.integers(0, 90))
    def bring_evidence(self, data: st.DataObject, seconds: int) -> None:
        self.world.district.clock.advance(timedelta(seconds=seconds))
        incident = data.draw(st.sampled_from(sorted(self.known)), label="incident")
        self.prove(incident)

    @rule(hours=st.sampled_from([1, 12, 48, 200]))
    def let_time_pass(self, hours: int) -> None:
        """Two workers look at once; what was due has happened once."""
        district = self.world.district
        district.clock.advance(timedelta(hours=hours))
        self.world.run(_race(district))
        for incident in self.known:
            rows = self._check(incident, moved=None)
            wakes = rows.incident.wakes_at
            assert wakes is None or wakes > district.clock.now()

    @rule()
    def catch_up(self) -> None:
        """The relay works off what waits; then everybody's inbox is whole."""
        self.world.run(self.world.district.drain())
        for incident in self.known:
            rows = self._check(incident, moved=None)
            assert all(event.processed_at for event in rows.events)
            routable = rows.incident.state != State.VOIDED and not rows.incident.self_handled
            assert rows.steps or not routable
        assert self.world.run(self._broken_inboxes()) == []
        self.world.run(see_the_same(self.world, PEOPLE))
        assert self.world.run(self._parked()) == 0

    def teardown(self) -> None:
        if self.known:
            self.catch_up()

    @rule()
    def set_the_clock_back(self) -> None:
        """The server's own clock was corrected by five minutes."""
        self.world.district.clock.advance(-timedelta(minutes=5))

    @rule(data=st.data())
    def two_at_once(self, data: st.DataObject) -> None:
        """Two people who saw the same: at most one changes it."""
        incident = data.draw(st.sampled_from(sorted(self.known)), label="incident")
        before = self.known[incident].incident.revision
        posts = []
        for who in data.draw(st.permutations(PEOPLE), label="two")[:2]:
            shown = self.world.run(self._look(who, incident))
            if shown is None or not shown["allowed_actions"]:
                return
            action = Action(data.draw(st.sampled_from(shown["allowed_actions"]), label="action"))
            posts.append((who, action, self._filled(action, shown)))
        answers = self.world.run(self._at_once(incident, posts))
        assert {answer.status_code for answer in answers} <= {200, 403, 404, 409, 412, 422}
        moved = [
            action not in FREE
            for (_, action, _), answer in zip(posts, answers, strict=True)
            if answer.status_code == httpx.codes.OK
        ]
        assert self._check(incident, moved=None).incident.revision - before == sum(moved) <= 1
        del self.known[incident]  # who came first is chance: it must not steer what is drawn
        self.bring_into("submitted")

    # --- how it is done

    def prove(self, incident: str) -> None:
        self.world.run(self._evidence(incident))
        self._check(incident, moved=False)

    def bring_into(self, state: str) -> str:
        """A new matter on its way into a state, each move of which must succeed."""
        incident = self._report()
        self.catch_up()
        for who, action, fields in PATHS[state]:
            self.succeed(who, incident, Action(action), **fields)
        return incident

    def succeed(self, who: str, incident: str, action: Action, **fields: Any) -> None:
        shown = self.world.run(self._look(who, incident))
        assert shown is not None
        assert action in shown["allowed_actions"]
        dated = {"review_on", "due_on"}  # of a clock that has gone on since
        filled = self._filled(action, shown)
        filled |= {name: value for name, value in fields.items() if name not in dated}
        self._move(who, incident, action, shown, filled)

    def _report(self, **changes: Any) -> str:
        meta = a_report(**changes)
        answer = self.world.run(self._post(WORKER, "/v1/incidents", meta))
        assert answer.status_code == 201, answer.text
        self._check(meta["id"], moved=None)
        incident: str = meta["id"]
        return incident

    def _filled(self, action: Action, shown: dict[str, Any] | None) -> dict[str, Any]:
        needs = BY_ACTION[action].needs
        fields = {need: FILLED[need] for need in needs if need in FILLED}
        day = (self.world.district.clock.now() + timedelta(days=20)).date().isoformat()
        fields |= {name: day for name in ("review_on", "due_on") if name in fields}
        if action is Action.SUSPEND:
            fields["review_on"] = day
        if shown is None:
            return fields | {"revision": 1}
        if action in FITTING:
            fields["to_unit"] = FITTING[action].get(shown["owner"]["code"], YONGHONG)
        if action in ASIDE:
            fields["to_unit"] = ASIDE[action]
        if action in LEVELS:
            fields["level"] = LEVELS[action]
        if "into" in needs:
            fields["into"] = min(self.known)
        return fields | {"revision": shown["revision"]}

    def _move(
        self,
        who: str,
        incident: str,
        action: Action,
        shown: dict[str, Any] | None,
        fields: dict[str, Any],
    ) -> None:
        url = f"/v1/incidents/{incident}/transitions"
        answer = self.world.run(self._post(who, url, {"action": action, **fields}))
        allowed = expected(action, shown, fields)
        assert answer.status_code in allowed, (who, action, fields, allowed, answer.text)
        succeeded = answer.status_code == 200
        moved = (action not in FREE) if succeeded else False
        rows = self._check(incident, moved=moved)
        if succeeded:
            assert rows.history[-1].action == action
            assert answer.json()["revision"] == rows.incident.revision

    def _check(self, incident: str, *, moved: bool | None) -> Rows:
        """Everything promised of one matter. `moved` None: the system may have routed it."""
        rows = self.world.run(rows_of(self.world.district, incident))
        before = self.known.get(incident)
        has_one_owner(rows)
        has_a_legal_history(rows)
        left_its_events(rows)
        self.began[incident] = never_began_earlier(self.began.get(incident), rows)
        self.world.reached |= {(entry.from_state, entry.to_state) for entry in rows.history}
        if before is not None:
            keeps_its_deadline(before, rows)
            assert rows.incident.revision - before.incident.revision in revisions(moved)
            assert len(rows.history) >= len(before.history)
            if before.incident.state in FINAL - {State.MERGED}:
                assert rows.incident.state == before.incident.state
                assert len(rows.history) == len(before.history)
        self.known[incident] = rows
        return rows

    async def _post(self, who: str, url: str, body: dict[str, Any]) -> httpx.Response:
        return await (await self.world.client(who)).post(url, json=body)

    async def _at_once(
        self, incident: str, posts: list[tuple[str, Action, dict[str, Any]]]
    ) -> list[httpx.Response]:
        url = f"/v1/incidents/{incident}/transitions"
        for who, _, _ in posts:
            await self.world.client(who)
        bodies = [(who, {"action": action, **fields}) for who, action, fields in posts]
        return await asyncio.gather(*(self._post(who, url, body) for who, body in bodies))

    async def _look(self, who: str, incident: str) -> dict[str, Any] | None:
        answer = await (await self.world.client(who)).get(f"/v1/incidents/{incident}")
        assert answer.status_code in {200, 404}, answer.text
        return answer.json() if answer.status_code == 200 else None

    async def _somebody(
        self, data: st.DataObject, incident: str, *, straight: bool
    ) -> tuple[str, dict[str, Any] | None, list[str]]:
        """Somebody who can bring the matter farther, what they see, and how they can."""
        seen = await self._look(WORKER, incident)
        assert seen is not None
        people = data.draw(st.permutations(STAFF.get(seen["owner"]["code"], [])), label="people")
        for who in (*people, WORKER):
            shown = await self._look(who, incident)
            offered = [
                action
                for action in (shown["allowed_actions"] if shown else [])
                if not straight or action not in DETOURS
            ]
            if offered:
                return who, shown, offered
        return WORKER, None, []

    async def _evidence(self, incident: str) -> None:
        url = f"/v1/incidents/{incident}/attachments/{new_id()}"
        answer = await (await self.world.client(WORKER)).put(url, content=photo())
        assert answer.status_code in {201, 409}, answer.text

    async def _broken_inboxes(self) -> list[UUID]:
        """People whose numbers are not 1, 2, 3 … up to their head."""
        async with self.world.district.resources.sessions.read() as session:
            broken = await session.scalars(
                select(Inbox.person_id)
                .outerjoin(Notice, Notice.person_id == Inbox.person_id)
                .group_by(Inbox.person_id)
                .having(
                    or_(
                        func.count(Notice.seq) != Inbox.head_seq,
                        func.min(Notice.seq) != 1,
                        func.max(Notice.seq) != Inbox.head_seq,
                    )
                )
            )
            return list(broken)

    async def _parked(self) -> int:
        async with self.world.district.resources.sessions.read() as session:
            count = await session.scalar(select(func.count()).select_from(ParkedReaction))
        return count or 0


async def _race(district: District) -> None:
    await asyncio.gather(*(Clocks(district.resources).work() for _ in range(2)))


async def _name_a_department(district: District) -> None:
    """A rule before all others."""
    async with district.resources.sessions.begin() as session:
        version = await session.scalar(select(func.max(RoutingRule.version)))
        rule = RoutingRule(
            version=version,
            position=-1,
            name="straight to the police",
            category=DEPARTMENTS,
            unit_code=POLICE_LIUHU,
            inform=[],
            created_at=district.clock.now(),
        )
        session.add(rule)


@pytest.fixture
def world(server: DatabaseServer, district_template: str) -> Iterator[World]:
    name = server.create(template=district_template)
    with asyncio.Runner() as runner:
        world = World(server.url(name), runner)
        world.run(hire(world.district, "desk-liuhu-2", (Role.DISPATCHER, LIUHU)))
        world.run(_name_a_department(world.district))
        yield world
        world.run(world.close())
    server.drop(name)


def test_v3_v4_v6_what_is_promised_holds_after_every_step(world: World) -> None:
    class InThisWorld(Matters):
        def __init__(self) -> None:
            super().__init__(world)

    run_state_machine_as_test(
        InThisWorld,
        settings=settings(
            max_examples=14,
            stateful_step_count=12,
            deadline=None,
            database=None,
            # an example is short as it is; shrinking one over real commits takes minutes
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    _reach_the_rest(InThisWorld())
    assert EDGES - world.reached == set()
    assert {target for _, target in world.reached} == {str(state) for state in State}


def _reach_the_rest(matters: Matters) -> None:
    """The edges that chance has left out are gone deliberately, under the same promises."""
    matters.let_time_pass(200)
    for row, state in ((each, start) for each in TRANSITIONS for start in sorted(each.sources)):
        if (str(state), str(row.target or state)) not in matters.world.reached:
            _reach(matters, row, state)
    matters.report(urgency="routine", category=DEPARTMENTS, self_handled=False)
    if (None, "closed") not in matters.world.reached:
        matters.report(urgency="routine", category="0101", self_handled=True)
    matters.bring_into("closed")
    matters.catch_up()
    matters.let_time_pass(200)


def _reach(matters: Matters, row: Transition, state: State) -> None:
    action = Action(row.action)
    incident, other = matters.bring_into(state), matters.bring_into("submitted")
    if state is State.MERGED:
        matters.succeed(DESK, incident, Action.MERGE, into=other)
    if action in BEFORE:
        asker, asked, fields = BEFORE[action]
        matters.succeed(asker, incident, Action(asked), **fields)
    if action is Action.SELF_HANDLE:
        matters.prove(incident)
    into = {"into": other} if "into" in row.needs else {}
    matters.succeed(mover(row.who, state), incident, action, **into)
