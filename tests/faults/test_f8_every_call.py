"""F8, F9, M10: the object store fails at each k-th call, is slow, or is old: by every way in."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest

from app.core.breaker import Breaker
from app.embedded.store import EmbeddedStore
from app.simulation.ledger import LedgerFile
from app.simulation.reports import MadeReport
from tests.faults.conftest import Tell
from tests.faults.sabotage import replace_everywhere
from tests.faults.servers import Server
from tests.faults.store_door import Call, Fate, Rule, StoreDoor, answer, at, each, sound
from tests.faults.uploading import MIB, Sender
from tests.faults.wire import Answer, new_report, note, posting, putting, send, token
from tests.faults.world import World
from tests.incidents.uploading import picture_of

PIECES = (700_000, 6 * MIB, 11 * MIB + 3)
FORM_BYTES = 6 * MIB + 1
FATES = tuple(fate for fate in Fate if fate is not Fate.SOUND)
SLOW_S = 0.3
_TUS_CALLS, _OTHER_CALLS = 14, 6
_BACK_S = 30.0


@dataclass
class Behind:
    """A server whose store is behind the door; `files` counts what has to be there at the end."""

    world: World
    door: StoreDoor
    api: Server
    token: str
    ledger: LedgerFile
    path: Path
    """The ledger's."""
    told: Counter[str] = field(default_factory=Counter)
    files: int = 0

    async def tus(self, rule: Rule = sound) -> None:
        """In three requests, which meet the rule; what is left comes once the store is sound."""
        self.files += 1
        sender = Sender(self.token, picture_of(PIECES[-1], self.files))
        await sender.report(self.api.url)
        self._meets(rule)
        assert await sender.create(self.api.url)
        for _ in range(2 * len(PIECES)):
            if sender.acknowledged == PIECES[-1]:
                break
            end = next((end for end in PIECES if end > sender.acknowledged), PIECES[-1])
            answered = await sender.patch(self.api.url, sender.acknowledged, end)
            self.told[f"tus {'taken' if answered else 'refused'}"] += 1
        await self._holds_what_it_told()
        await sender.finish(self.api.url)
        await sender.check_whole(self.api.url)

    async def multipart(self, rule: Rule = sound) -> None:
        made = self._made()
        self._meets(rule)
        first = await self._answered(posting(made, self.token))
        assert first.status == 201, first.body
        note(self.ledger, made, first)
        self._count("multipart", first)
        await self._holds_what_it_told()
        again = await self._until_complete(made, posting(made, self.token))
        assert again.status == 200

    async def put(self, rule: Rule = sound) -> None:
        made = self._made()
        async with httpx.AsyncClient(
            base_url=self.api.url,
            trust_env=False,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        ) as link:
            assert (await link.post("/v1/incidents", content=made.meta)).status_code == 201
        self._meets(rule)
        late = await self._answered(putting(made, 0, self.token))
        if late.status == 503:
            assert late.headers["retry-after"]
            self.told["put refused"] += 1
        else:
            note(self.ledger, made, late)
            self._count("put", late)
        await self._holds_what_it_told()
        await self._until_complete(made, putting(made, 0, self.token))

    def _made(self) -> MadeReport:
        self.files += 1
        return new_report(self.files, camera=partial(picture_of, FORM_BYTES))

    def _meets(self, rule: Rule) -> None:
        self.door.starts_anew()
        self.door.rule = rule

    async def _holds_what_it_told(self) -> None:
        """Asked of the store itself: what is called stored is there, to the last byte."""
        self.door.starts_anew()
        await self.world.drained()
        assert await self.world.violations(self.path) == []

    async def _answered(self, request: bytes) -> Answer:
        answered = await send(self.api.url, request)
        assert answered is not None
        return answered

    async def _until_complete(self, made: MadeReport, request: bytes) -> Answer:
        deadline = time.monotonic() + _BACK_S
        while True:
            answered = await self._answered(request)
            if answered.status < 500 and answered.json["complete"]:
                note(self.ledger, made, answered)
                return answered
            assert time.monotonic() < deadline, answered.body
            await asyncio.sleep(0.2)

    def _count(self, way: str, answered: Answer) -> None:
        self.told[f"{way} {'taken' if answered.json['complete'] else 'text only'}"] += 1

    async def check(self) -> None:
        await self.world.drained()
        assert await self.world.violations(self.path) == []
        await self.world.swept()
        assert await self.world.objects() == self.files
        assert await self.world.count("SELECT count(*) FROM media_files") == self.files
        assert self.world.bugs() == []


@pytest.fixture
async def behind(
    world: World, object_store: EmbeddedStore, tmp_path: Path
) -> AsyncIterator[Behind]:
    async with StoreDoor.opened(object_store) as door:
        api = await world.serve(
            "api",
            _probe_often,
            ETONG_INTAKE__PART_BYTES=str(5 * MIB),
            ETONG_STORE__ENDPOINT_URL=door.url,
            ETONG_STORE__DEADLINE_S="1.5",
        )
        await world.serve("relay")
        path = tmp_path / "ledger.jsonl"
        with LedgerFile(path) as ledger:
            yield Behind(world, door, api, await token(api.url), ledger, path)


def _probe_often() -> None:
    """How long the breaker stays open is not what is looked at here."""
    replace_everywhere(Breaker, partial(Breaker, open_s=0.2))


async def test_f8_u17_a_store_that_fails_loses_nothing(behind: Behind, tell: Tell) -> None:
    await behind.tus(each(2, Fate.ANSWER_LOST))
    await behind.tus(at(3, Fate.REFUSED))
    await behind.tus(lambda call: Fate.ERROR_IN_200 if call.what == "complete" else Fate.SOUND)
    await behind.multipart(at(2, Fate.RESET))
    await behind.put(at(4, Fate.ERROR_IN_200))
    await _check(behind, tell)


@pytest.mark.whole
@pytest.mark.parametrize("fate", FATES)
async def test_f8_u17_a_store_that_fails_at_every_call_loses_nothing(
    behind: Behind, fate: Fate, tell: Tell
) -> None:
    rules = [each(every, fate) for every in (1, 2, 3, 4, 5, 7)]
    for rule in [*rules, *(at(number, fate) for number in range(1, _TUS_CALLS + 1))]:
        await behind.tus(rule)
    for rule in [*rules, *(at(number, fate) for number in range(1, _OTHER_CALLS + 1))]:
        await behind.multipart(rule)
        await behind.put(rule)
    await _check(behind, tell)


async def _check(behind: Behind, tell: Tell) -> None:
    """It was refused, and it was taken all the same."""
    await behind.check()
    assert behind.told["tus refused"]
    assert behind.told["tus taken"]
    tell(f"F8: {dict(behind.told)}")


async def test_f9_a_slow_store_takes_everything_and_delays_nobody_else(
    behind: Behind, tell: Tell
) -> None:
    """Others ask something that needs no store."""
    behind.door.delay_s = SLOW_S
    waits: list[float] = []
    asking = asyncio.create_task(_asks(behind, waits))
    began = time.monotonic()
    for way in (behind.tus, behind.multipart, behind.put):
        await way()
    asking.cancel()
    await behind.check()
    slowest = sorted(waits)[int(len(waits) * 0.95)]
    tell(
        f"F9: each call {SLOW_S} s late, {time.monotonic() - began:.0f} s for three files;"
        f" {len(waits)} others asked meanwhile, p95 {1000 * slowest:.0f} ms"
    )
    assert len(waits) > 10


async def test_f9_a_store_beyond_its_deadline_keeps_the_offset(behind: Behind) -> None:
    sender = Sender(behind.token, picture_of(PIECES[-1]))
    await sender.report(behind.api.url)
    assert await sender.create(behind.api.url)
    assert await sender.patch(behind.api.url, 0, PIECES[0])
    behind.door.delay_s = 3.0
    began = time.monotonic()
    assert not await sender.patch(behind.api.url, PIECES[0], PIECES[1])
    assert time.monotonic() - began < 10
    behind.door.delay_s = 0.0
    assert sender.acknowledged >= PIECES[0]
    await sender.finish(behind.api.url)
    await sender.check_whole(behind.api.url)
    behind.files += 1
    await behind.check()


async def _asks(behind: Behind, waits: list[float]) -> None:
    headers = {"Authorization": f"Bearer {behind.token}"}
    async with httpx.AsyncClient(base_url=behind.api.url, headers=headers, trust_env=False) as link:
        while True:
            began = time.monotonic()
            assert (await link.get("/v1/me")).status_code == 200
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.02)


class OldStore:
    """Refuses aws-chunked and checksums of S3's kinds, knows no condition on what completes."""

    def __init__(self) -> None:
        self.conditions = 0

    def asked(self, call: Call) -> Call | bytes:
        told = call.headers
        newer = "aws-chunked" in told.get("content-encoding", "")
        newer |= any(
            name.startswith(("x-amz-checksum", "x-amz-trailer", "x-amz-sdk")) for name in told
        )
        if newer or told.get("x-amz-content-sha256", "").startswith("STREAMING"):
            return answer("501 Not Implemented", b"<Error><Code>NotImplemented</Code></Error>")
        self.conditions += "if-none-match" in told
        return call

    def answered(self, call: Call, given: bytes) -> bytes:
        """No checksums in any answer, and an empty ETag of what was completed."""
        head, separator, body = given.partition(b"\r\n\r\n")
        lines = [x for x in head.split(b"\r\n") if not x.lower().startswith(b"x-amz-checksum")]
        if call.what != "complete":
            return b"\r\n".join(lines) + separator + body
        assert b"200" in lines[0], given
        assert b"ETag>" in body, given
        body = re.sub(rb"<ETag>[^<]*</ETag>", b"<ETag></ETag>", body)
        return answer("200 OK", body[body.index(b"<") :].rstrip(b"0\r\n"))


async def test_m10_u17_an_old_s3_server_takes_files_by_every_way(behind: Behind) -> None:
    old = OldStore()
    behind.door.asked, behind.door.answered = old.asked, old.answered
    for way in (behind.tus, behind.multipart, behind.put):
        await way()
    # a condition that it ignores would be a promise that nobody keeps
    assert old.conditions == 0
    assert behind.told["tus taken"] >= len(PIECES)
    assert (behind.told["multipart taken"], behind.told["put taken"]) == (1, 1)
    await behind.check()


async def test_u17_completing_twice_is_safe_with_an_old_s3_server(behind: Behind) -> None:
    """The answer is lost after the work: the repeat finds no such upload, and the whole object."""
    old = OldStore()
    behind.door.asked, behind.door.answered = old.asked, old.answered
    lost: list[Call] = []

    def lose_once(call: Call) -> Fate:
        if call.what != "complete" or len(lost) >= 2:
            return Fate.SOUND
        lost.append(call)
        return Fate.ANSWER_LOST

    await behind.tus(lose_once)
    assert lost
    await behind.check()
