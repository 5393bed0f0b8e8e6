"""U17, F4, I10: a server is killed at every step of an upload, which then goes on at another."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from app.core.clock import FakeClock
from app.embedded.store import EmbeddedStore
from app.media import holding
from app.media.sweeping import FORGOTTEN_AFTER, sweep
from tests.faults.conftest import Tell
from tests.faults.servers import Server
from tests.faults.store_door import StoreDoor
from tests.faults.tracing import Place, killed_before, needs_strace
from tests.faults.uploading import MIB, Sender
from tests.faults.wire import answers, token
from tests.faults.world import World
from tests.incidents.uploading import picture_of

PARTS = (700_000, 6 * MIB, 11 * MIB + 3)
"""A tail; a part of it and a tail; a part, and the last one."""
WHOLE = (400_000, 1_000_000)
"""A tail, then one object."""
BY_TWO = (6 * MIB, 7 * MIB)
"""The first at another process: the whole is read back."""
SOME_CALLS = ((1, True), (3, True), (5, False), (6, False), (9, True), (12, True))
_LONGEST = 400


@dataclass
class Walk:
    """A file for each number; its server is killed there, and the other takes the rest."""

    world: World
    door: StoreDoor
    other: Server
    signed: str
    outcomes: Counter[str] = field(default_factory=Counter)
    _api: Server | None = None
    _files: int = 0

    @classmethod
    async def begun(cls, world: World, door: StoreDoor) -> "Walk":
        other = await world.serve("api", _short_leases, **_QUICK)
        await world.serve("relay")
        return cls(world, door, other, await token(other.url))

    async def every_store_call(self, ends: Sequence[int], *, by_two: bool = False) -> int:
        """A kill before each call and after each; how many calls there are."""
        for number in range(1, _LONGEST):
            reached = [
                await self.store_call(ends, number, by_two=by_two, afterwards=afterwards)
                for afterwards in (False, True)
            ]
            if not any(reached):
                return number - 1
        raise AssertionError("the walk does not end")

    async def store_call(
        self, ends: Sequence[int], number: int, *, by_two: bool = False, afterwards: bool
    ) -> bool:
        """Whether there was such a call."""
        sender, ends = await self._begun(ends, by_two=by_two)
        api = self._api = self._api or await self._served()
        self.door.starts_anew()
        (self.door.after if afterwards else self.door.before)[number] = api.kill
        done = await sender.all_at(api.url, ends)
        reached = len(self.door.calls) >= number
        self.door.starts_anew()
        await self._settled(sender, "after" if afterwards else "before", reached=reached, done=done)
        return reached

    async def statements(self, ends: Sequence[int], numbers: Iterable[int]) -> int:
        """A kill before each thing that the event loop says to the database, and to the phone."""
        for number in numbers:
            sender, ends = await self._begun(ends)
            api = self._api = self._api or await self._served()
            async with killed_before(api, Place("sendto"), number):
                done = await sender.all_at(api.url, ends)
            survived = await answers(api.url)
            await self._settled(sender, "statement", reached=not survived, done=done)
            if survived:
                return number - 1
        return -1

    async def _begun(
        self, ends: Sequence[int], *, by_two: bool = False
    ) -> tuple[Sender, Sequence[int]]:
        self._files += 1
        if self._files % 50 == 0:  # a walk is longer than a session's token
            self.signed = await token(self.other.url)
        sender = Sender(self.signed, picture_of(ends[-1], self._files))
        await sender.report(self.other.url)
        if by_two:
            assert await sender.all_at(self.other.url, ends[:1])
        return sender, ends

    async def _served(self) -> Server:
        """Signed in at before, so that what is counted is the upload alone."""
        api = await self.world.serve(
            "api", _short_leases, **_QUICK, ETONG_STORE__ENDPOINT_URL=self.door.url
        )
        sender = Sender(self.signed, b"")
        async with sender.link(api.url) as link:
            assert (await link.get("/v1/me")).status_code == 200
        return api

    async def _settled(self, sender: Sender, where: str, *, reached: bool, done: bool) -> None:
        if reached:
            assert self._api is not None
            await self._api.ended()
            self._api = None
        else:
            assert done
        await sender.finish(self.other.url)
        await sender.check_whole(self.other.url)
        end = "answered" if done else "resumed"
        self.outcomes[f"{where}: {end}" if reached else "survived"] += 1

    async def check(self) -> None:
        """Nothing is lost, nothing is there twice, and nothing of the killed is left over."""
        world = self.world
        await world.drained()
        assert await world.count("SELECT count(*) FROM media_files") == self._files
        assert await world.count("SELECT count(*) FROM uploads WHERE state <> 'stored'") == 0
        assert await world.violations() == []
        await world.swept()
        later = FakeClock(world.resources.clock.now() + FORGOTTEN_AFTER + timedelta(hours=1))
        await sweep(world.at(later))
        assert await world.objects() == self._files
        assert [parts async for parts in world.resources.store.unfinished("media/")] == []
        assert world.bugs() == []

    def told(self, began: float) -> str:
        return f"U17: {dict(self.outcomes)}, {time.monotonic() - began:.0f} s"


_QUICK = {"ETONG_INTAKE__PART_BYTES": str(5 * MIB), "ETONG_UPLOADS__TAKEOVER_S": "0.2"}


def _short_leases() -> None:
    """How long one waits for the dead is not what is looked at here."""
    holding._LEASE, holding._RENEW_S = timedelta(seconds=1.5), 0.3  # noqa: SLF001 - as said


@pytest.fixture
async def walk(world: World, object_store: EmbeddedStore) -> AsyncIterator[Walk]:
    async with StoreDoor.opened(object_store) as door:
        yield await Walk.begun(world, door)


async def test_u17_a_kill_at_any_call_to_the_store_loses_nothing(walk: Walk, tell: Tell) -> None:
    began = time.monotonic()
    for number, afterwards in SOME_CALLS:
        assert await walk.store_call(PARTS, number, afterwards=afterwards)
    await walk.check()
    tell(walk.told(began))


@pytest.mark.whole
async def test_u17_a_kill_at_every_call_to_the_store_loses_nothing(walk: Walk, tell: Tell) -> None:
    began = time.monotonic()
    assert await walk.every_store_call(PARTS) >= 12
    assert await walk.every_store_call(WHOLE) >= 4
    assert await walk.every_store_call(BY_TWO, by_two=True) >= 5
    await walk.check()
    tell(walk.told(began))


@needs_strace
async def test_u17_a_kill_before_any_statement_loses_nothing(walk: Walk, tell: Tell) -> None:
    began = time.monotonic()
    await walk.statements(PARTS, range(3, 100, 16))
    await walk.check()
    tell(walk.told(began))


@needs_strace
@pytest.mark.whole
async def test_u17_a_kill_before_every_statement_loses_nothing(walk: Walk, tell: Tell) -> None:
    began = time.monotonic()
    assert await walk.statements(PARTS, range(1, _LONGEST)) >= 20
    assert await walk.statements(WHOLE, range(1, _LONGEST)) >= 10
    await walk.check()
    tell(walk.told(began))
