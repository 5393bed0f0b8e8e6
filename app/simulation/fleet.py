"""Many simulated phones at once, bounded in count and in time."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from app.simulation.cut_proxy import CutProxy, one_in
from app.simulation.ledger import LedgerFile
from app.simulation.link import Account, GaveUp, Link, Patience, Refused
from app.simulation.loopback import loopback
from app.simulation.phone import Manner, Phone, total
from app.simulation.reports import Camera, quick_camera

MOST_PHONES = 200
MOST_REPORTS = 1_000
MOST_PHOTOS = 12
MOST_SECONDS = 3_600.0
_PROGRESS_S = 5.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Fleet:
    """`reports` and `photos` are per phone and per report. Raises ValueError beyond the bounds."""

    url: str
    people: Sequence[tuple[str, str]]
    """User names and passwords; phones take turns with them, each as a terminal of its own."""
    phones: int = 1
    reports: int = 1
    photos: int = 0
    seconds: float = 60.0
    pause_s: float = 0.0
    """Between two reports of a phone, in the mean."""
    faults: float = 0.0
    """Share of the connections that go through the cutting proxy and meet a fault."""
    camera: Camera = quick_camera
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        loopback(self.url)
        within = (
            1 <= self.phones <= MOST_PHONES
            and 1 <= self.reports <= MOST_REPORTS
            and 0 <= self.photos <= MOST_PHOTOS
            and 0 < self.seconds <= MOST_SECONDS
            and 0 <= self.pause_s <= self.seconds
            and 0 <= self.faults <= 1
        )
        if not within:
            raise ValueError(
                f"at most {MOST_PHONES} phones, {MOST_REPORTS} reports each, {MOST_PHOTOS} photos"
                f" each, {MOST_SECONDS:.0f} s / 超出模拟上限"
            )


@dataclass(frozen=True, slots=True)
class Summary:
    """`made`: reports begun. `acknowledged`: answered and complete. `counts`: everything else."""

    made: int
    acknowledged: int
    notices: int
    cuts: int
    in_time: bool
    counts: Counter[str]


async def drive(fleet: Fleet, ledger: LedgerFile, say: Say) -> Summary:
    """Let the phones report and hear back. Never runs longer than `fleet.seconds`, and a second."""
    async with AsyncExitStack() as stack:
        url, proxy = fleet.url, None
        if fleet.faults:
            plan = one_in(fleet.faults, seed=1)
            proxy = await stack.enter_async_context(CutProxy(fleet.url, plan))
            url = proxy.url
        phones = []
        for number, account in enumerate(_accounts(fleet)):
            # a fault meets a connection: for a hurt fleet every request has its own
            link = Link(url, account, fleet.patience, kept=0 if fleet.faults else 1)
            await stack.enter_async_context(link)
            phones.append(_Running(fleet, number, link, ledger))
        in_time = await _drive(fleet, phones, say)
    counts = total([running.phone for running in phones])
    return Summary(
        made=sum(running.made for running in phones),
        acknowledged=counts["acknowledged"],
        notices=sum(running.heard for running in phones),
        cuts=proxy.cuts if proxy else 0,
        in_time=in_time,
        counts=counts,
    )


def _accounts(fleet: Fleet) -> Iterator[Account]:
    people = itertools.cycle(fleet.people)
    for _ in range(fleet.phones):
        username, password = next(people)
        yield Account(username, password)


class _Running:
    """One phone at work."""

    def __init__(self, fleet: Fleet, number: int, link: Link, ledger: LedgerFile) -> None:
        self.made = 0
        self.phone = Phone(link, ledger, (Manner.PLAIN, Manner.ASKING)[number % 2])
        self._fleet = fleet
        self._number = number

    @property
    def heard(self) -> int:
        return self.phone.hearing.last if self.phone.hearing else 0

    async def work(self) -> None:
        try:
            await self.phone.sign_in()
            await self._report_and_hear()
        except Refused as refused:
            self.phone.counts[f"refused:{refused.code}"] += 1
        except GaveUp:
            self.phone.counts["given_up"] += 1

    async def _report_and_hear(self) -> None:
        hearing = self.phone.hearing
        if hearing is None:
            raise RuntimeError("a phone hears once it is signed in")
        stop = asyncio.Event()
        listening = asyncio.create_task(hearing.listen(stop))
        try:
            for turn in range(self._fleet.reports):
                number = self._number * self._fleet.reports + turn
                made = await self.phone.make(number, self._fleet.photos, self._fleet.camera)
                self.made += 1
                await self.phone.report(made)
                await asyncio.sleep(random.uniform(0.0, 2 * self._fleet.pause_s))  # noqa: S311 - a worker's pace
        finally:
            stop.set()
            await _ended(listening)
        await hearing.catch_up()


async def _ended(listening: asyncio.Task[None]) -> None:
    listening.cancel()
    (outcome,) = await asyncio.gather(listening, return_exceptions=True)
    if isinstance(outcome, Exception):
        raise outcome


async def _drive(fleet: Fleet, phones: Sequence[_Running], say: Say) -> bool:
    """Whether all were done in time."""
    telling = asyncio.create_task(_tell_progress(phones, fleet.phones * fleet.reports, say))
    try:
        async with asyncio.timeout(fleet.seconds), asyncio.TaskGroup() as group:
            for running in phones:
                group.create_task(running.work())
    except TimeoutError:
        return False
    finally:
        telling.cancel()
    return True


async def _tell_progress(phones: Sequence[_Running], wanted: int, say: Say) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_S)
        counts = total([running.phone for running in phones])
        lost = sum(n for name, n in counts.items() if name.startswith("lost:"))
        say(f"{counts['acknowledged']} of {wanted} acknowledged, {lost} answers lost")
