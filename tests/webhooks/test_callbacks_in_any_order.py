"""F26: shuffled, doubled and dropped, callbacks leave the same state and a legal history."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.core.db import new_id
from app.system.invariants import chains_verify, history_legal, owned
from tests.conftest import NOON
from tests.district import DatabaseServer, District
from tests.incidents.paths import UP, pass_time, rows_of, walk
from tests.webhooks.calling import Calling, Content, shown

ACCEPTED: tuple[Content, ...] = ({"action": "accept"}, {"action": "handle_here"})
STORIES: tuple[tuple[Content, ...], ...] = (
    (
        *ACCEPTED,
        {"action": "progress", "text": "已到现场"},
        {"type": "incident.comment", "text": "物业配合"},
        {"action": "complete", "outcome": "杂物已清"},
    ),
    (
        {"type": "incident.comment", "text": "已转县里"},
        {"action": "accept"},
        {"action": "escalate", "reason": "超出权限"},
        {"type": "incident.comment", "text": "请县里办理"},
    ),
    (
        *ACCEPTED,
        {"action": "refuse", "reason": "改由派出所办理"},
        {"action": "dispatch"},
        {"action": "handle_here"},
        {"action": "complete", "outcome": "已劝离"},
    ),
    (
        {"action": "complete", "outcome": "太早"},
        {"action": "return", "reason": "位置不清"},
        {"action": "accept"},
        {"type": "incident.comment", "text": "等待补充"},
    ),
)
SLOT_S = 20
"""Between two callbacks on their way; all of them well within the ten minutes of waiting."""


@dataclass(frozen=True)
class End:
    state: str
    outcome: str | None
    owner: str
    done: tuple[tuple[str, str | None, str | None], ...]
    """Action, reason, text of what the platform did."""


class World:
    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.opened = District.opened(url, NOON)
        self.district = runner.run(self.opened.__aenter__())
        self.calling = runner.run(Calling.of(self.district))
        self._told_in_order: dict[tuple[int, tuple[int, ...]], End] = {}

    async def ends(self, sent: Sequence[tuple[int, Content]], *, early: int) -> End:
        """What a new matter comes to when these arrive; `early` of them before the matter does."""
        incident = str(new_id())
        first = f"msg_{incident}_"
        for place, (number, content) in enumerate(sent):
            if place == early:
                await self._report(incident)
            callback = {"incident_id": incident, "sequence": number, **content}
            # the same id twice, now and then, and sometimes the same number under another id
            await self.calling.send(callback, f"{first}{number}{'' if place % 3 else 'again'}")
            await self.calling.wait(seconds=SLOT_S)
        if early >= len(sent):
            await self._report(incident)
        for _ in range(6):
            await self.calling.wait(minutes=30)
        return await self._end(incident)

    async def _report(self, incident: str) -> None:
        await self.district.report(id=incident)
        await walk(self.district, incident, UP)

    async def _end(self, incident: str) -> End:
        await pass_time(self.district)  # matters of before have their consequences by now
        now = self.district.clock.now()
        async with self.district.resources.sessions.read() as session:
            for check in (history_legal, chains_verify, owned):
                assert await check(session, now) == []
        rows = await rows_of(self.district, incident)
        seen = await shown(self.district, incident)
        done = [(each.action, each.reason, each.text) for each in rows.history[3:]]
        return End(seen["state"], seen["outcome"], seen["owner"]["code"], tuple(done))

    def in_order(self, story: int, kept: tuple[int, ...]) -> End:
        """What the same callbacks come to one after the other."""
        key = (story, kept)
        if key not in self._told_in_order:
            sent = [(number, STORIES[story][number - 1]) for number in kept]
            self._told_in_order[key] = self.runner.run(self.ends(sent, early=0))
        return self._told_in_order[key]


@pytest.fixture
def world(server: DatabaseServer, district_template: str) -> Iterator[World]:
    name = server.create(template=district_template)
    with asyncio.Runner() as runner:
        world = World(server.url(name), runner)
        yield world
        runner.run(world.opened.__aexit__(None, None, None))
    server.drop(name)


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[int, list[int], int]:
    """A story, its numbers as they arrive, and how many come before the matter itself."""
    story = draw(st.integers(0, len(STORIES) - 1))
    numbers = list(range(1, len(STORIES[story]) + 1))
    kept = draw(st.lists(st.sampled_from(numbers), min_size=1, unique=True, max_size=len(numbers)))
    if draw(st.booleans()):
        kept = numbers  # nothing is lost, in half of them
    doubled = draw(st.lists(st.sampled_from(kept), max_size=3))
    arriving = draw(st.permutations([*kept, *doubled]))
    return story, arriving, draw(st.sampled_from([0, 0, 1, 2]))


def test_f26_any_order_gives_the_same_state_and_a_legal_history(world: World) -> None:
    @settings(
        max_examples=25,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(arriving=arrivals())
    def shuffled(arriving: tuple[int, list[int], int]) -> None:
        story, numbers, early = arriving
        sent: list[tuple[int, Any]] = [(number, STORIES[story][number - 1]) for number in numbers]
        found = world.runner.run(world.ends(sent, early=min(early, len(sent))))
        assert found == world.in_order(story, tuple(sorted(set(numbers))))

    shuffled()
