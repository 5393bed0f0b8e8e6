"""Whatever people try, in whatever order: what is promised of every matter holds throughout."""

import asyncio
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from typing import Any, TypeVar
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
from app.incidents.chain import first_break
from app.incidents.status import BY_ACTION, FINAL, FREE, Action, State, edges
from app.notifications.models import Inbox, Notice
from app.routing.escalation import Clocks
from tests.conftest import NOON
from tests.district import (
    KONGTONG,
    LIUHU,
    PASSWORD,
    POLICE_LIUHU,
    YONGHONG,
    DatabaseServer,
    District,
)
from tests.district import new_incident as a_report
from tests.incidents.filled import ASIDE, FILLED, LEVELS, MAY_NOT_FIT
from tests.incidents.paths import PATHS, Rows, hire, photo, rows_of

ResultT = TypeVar("ResultT")

WORKER = "worker-yonghong"
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
TOKEN_LIFE = timedelta(minutes=13)
EDGES = {(source and str(source), str(target)) for source, target in edges()}

FITTING = {
    Action.HAND_DOWN: {LIUHU: YONGHONG, KONGTONG: LIUHU},
    Action.DISPATCH: {LIUHU: POLICE_LIUHU, KONGTONG: "620802-police"},
}
"""A unit right below the centre that owns the matter."""


class World:
    """One server on one cloned database, driven from outside its event loop."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._opened = District.opened(url, NOON)
        self.district = self.run(self._opened.__aenter__())
        self._clients: dict[str, tuple[httpx.AsyncClient, Any]] = {}

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        return self._runner.run(work)

    async def client(self, who: str) -> httpx.AsyncClient:
        now = self.district.clock.now()
        client, signed_in = self._clients.get(who, (None, None))
        if client is None:
            client = self.district.anonymous()
        if signed_in is None or now - signed_in > TOKEN_LIFE:
            form = {"grant_type": "password", "username": who, "password": PASSWORD}
            token = (await client.post("/v1/token", data=form)).json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            self._clients[who] = (client, now)
        return client

    async def close(self) -> None:
        for client, _ in self._clients.values():
            await client.aclose()
        await self._opened.__aexit__(None, None, None)


class Matters(RuleBasedStateMachine):
    """A few matters of one grid, and everybody who might do something about them."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.known: dict[str, Rows] = {}

    # --- what people do

    @initialize(state=st.sampled_from(["submitted", "accepted", "in_progress", "handled"]))
    def begin(self, state: str) -> None:
        incident = self._report()
        self.catch_up()
        for who, action, fields in PATHS[state]:
            shown = self.world.run(self._look(who, incident))
            assert shown is not None
            filled = fields | {"revision": shown["revision"]}
            self._move(who, incident, Action(action), shown, filled)

    @precondition(lambda self: len(self.known) < 3)
    @rule(
        urgency=st.sampled_from(["routine", "urgent", "critical", "complex"]),
        category=st.sampled_from(["0101", "0201", "0301"]),
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
                fields.pop(min(BY_ACTION[action].needs))
            if revision != "right":
                seen = shown["revision"] if shown else 1
                fields["revision"] = seen + 1 if revision == "stale" else None
            self._move(who, incident, action, shown, fields)

    @rule(data=st.data(), seconds=st.integers(0, 90))
    def bring_evidence(self, data: st.DataObject, seconds: int) -> None:
        self.world.district.clock.advance(timedelta(seconds=seconds))
        incident = data.draw(st.sampled_from(sorted(self.known)), label="incident")
        self.world.run(self._evidence(incident))
        self._check(incident, moved=False)

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
        assert self.world.run(self._parked()) == 0

    def teardown(self) -> None:
        if self.known:
            self.catch_up()

    # --- how it is done

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
        expected = _expected(action, shown, fields)
        assert answer.status_code in expected, (who, action, fields, expected, answer.text)
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
        _has_one_owner(rows)
        _has_a_legal_history(rows)
        _left_its_events(rows)
        if before is not None:
            assert rows.incident.revision - before.incident.revision in _steps(moved)
            assert len(rows.history) >= len(before.history)
            if before.incident.state in FINAL - {State.MERGED}:
                assert rows.incident.state == before.incident.state
                assert len(rows.history) == len(before.history)
        self.known[incident] = rows
        return rows

    async def _post(self, who: str, url: str, body: dict[str, Any]) -> httpx.Response:
        return await (await self.world.client(who)).post(url, json=body)

    async def _look(self, who: str, incident: str) -> dict[str, Any] | None:
        answer = await (await self.world.client(who)).get(f"/v1/incidents/{incident}")
        assert answer.status_code in {200, 404}, answer.text
        shown: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return shown

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


def _expected(action: Action, shown: dict[str, Any] | None, fields: dict[str, Any]) -> set[int]:
    """The statuses with which an attempt may end, told from what the person was shown before."""
    if shown is None:
        return {404}
    if fields.get("revision") != shown["revision"] and action not in FREE:
        return {403, 428} if fields.get("revision") is None else {403, 412}
    if action not in shown["allowed_actions"]:
        # a way up or down that does not exist is said so to who else could take it
        nowhere = action in FITTING or action is Action.ESCALATE
        return {403, 409, 422} if nowhere else {403, 409}
    if action in FITTING and "to_unit" in fields:
        fits = FITTING[action].get(shown["owner"]["code"]) == fields["to_unit"]
        return {200} if fits else {200, 422}
    if action in MAY_NOT_FIT:
        return {200, 422}
    whole = fields.keys() >= BY_ACTION[action].needs
    proven = action is not Action.SELF_HANDLE or shown["attachments"]
    return {200} if whole and proven else {422}


def _steps(moved: bool | None) -> set[int]:  # noqa: FBT001 - three answers, not a switch
    return set(range(60)) if moved is None else {1} if moved else {0}


def _has_one_owner(rows: Rows) -> None:
    incident = rows.incident
    assert incident.owner_unit_id is not None
    current = rows.current
    assert len(current) <= 1
    assert incident.current_step_id == (current[0].id if current else None)
    if current:
        (step,) = current
        assert (step.unit_id, step.state) == (incident.owner_unit_id, incident.state)
        assert incident.state not in FINAL
    else:
        unrouted = not rows.steps and incident.state in {State.SUBMITTED, State.VOIDED}
        assert incident.state in FINAL or unrouted or incident.self_handled
    if incident.state in {State.CLOSED, State.REJECTED, State.HANDLED}:
        assert incident.outcome


def _has_a_legal_history(rows: Rows) -> None:
    assert first_break(rows.history) is None
    incident, last = rows.incident, rows.history[-1]
    assert (incident.history_seq, incident.history_head) == (last.seq, last.hash)
    assert last.to_state == incident.state
    states = [entry.to_state for entry in rows.history]
    assert [entry.from_state for entry in rows.history] == [None, *states[:-1]]
    for entry in rows.history:
        assert (entry.from_state, entry.to_state) in EDGES


def _left_its_events(rows: Rows) -> None:
    """The report, every file, and every entry of the history after the first."""
    told = [event.payload["history_seq"] for event in rows.events if "history_seq" in event.payload]
    assert sorted(set(told)) == [entry.seq for entry in rows.history[1:]]
    assert rows.events[0].name == "incident.reported"


@pytest.fixture
def world(server: DatabaseServer, district_template: str) -> Iterator[World]:
    name = server.create(template=district_template)
    with asyncio.Runner() as runner:
        world = World(server.url(name), runner)
        world.run(hire(world.district, "desk-liuhu-2", (Role.DISPATCHER, LIUHU)))
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
