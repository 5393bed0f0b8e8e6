"""U18, F6: slow links are waited for, silent ones and those that only keep a place are not."""

import asyncio
from datetime import timedelta

import orjson

from app.media.in_flight import BytesInFlight
from tests.district import new_incident
from tests.incidents.listening import Served, head
from tests.incidents.paths import listed
from tests.incidents.uploading import Phone, digest, object_of, picture_of, refused, row_of
from tests.media.wire import CONTENT_TYPE, body_of, part
from tests.ticking import let_pass

MIB = 1024 * 1024


async def test_u18_f6_who_is_silent_for_a_minute_is_saved_and_let_go(phone: Phone) -> None:
    body = picture_of(2000)
    url = await phone.created(2000)
    async with phone.sending(url, 0, 2000, body[:700]) as wire:
        await _until_held(phone, url)
        await let_pass(50)
        await wire.send(body[700:710])
        await let_pass(58)
        assert (await row_of(phone.served, url)).held
        await let_pass(3)
        answer = await wire.answer()
        refused(answer, 408, "request-timeout")
        assert (answer.headers["upload-offset"], answer.headers["connection"]) == ("710", "close")
        assert await wire.closed()
    assert not (await row_of(phone.served, url)).held
    assert (await phone.patch(url, 710, body[710:])).status == 204
    assert await object_of(phone.served, url) == body


async def test_u18_f6_who_dribbles_is_saved_and_let_go(phone: Phone) -> None:
    body = picture_of(2000)
    url = await phone.created(2000)
    async with phone.sending(url, 0, 2000) as wire:
        await _until_held(phone, url)
        for sent in range(7):
            await wire.send(body[sent : sent + 1])
            await let_pass(10.5)
        answer = await wire.answer()
        refused(answer, 408, "request-timeout")
        assert answer.headers["upload-offset"] == "7"
        assert await wire.closed()
    assert await phone.offset(url) == 7


async def _until_held(phone: Phone, url: str) -> None:
    async with asyncio.timeout(10):
        while not (await row_of(phone.served, url)).held:  # noqa: ASYNC110 - another request's doing
            await asyncio.sleep(0.01)


async def test_u18_a_slow_link_is_heard_out(phone: Phone) -> None:
    """210 bytes a second for three minutes."""
    body = picture_of(210 * 180)
    url = await phone.created(len(body), sha256=digest(body))
    async with phone.sending(url, 0, len(body)) as wire:
        await _until_held(phone, url)
        for start in range(0, len(body), 2100):
            await let_pass(10)
            await wire.send(body[start : start + 2100])
        assert (await wire.answer()).status == 204
    assert await object_of(phone.served, url) == body


async def test_u18_what_the_store_takes_is_not_the_senders_fault(phone: Phone) -> None:
    store = phone.served.district.store
    body = picture_of(17 * MIB)
    url = await phone.created(len(body))
    store.gate = asyncio.Event()
    try:
        async with phone.sending(url, 0, len(body)) as wire:
            sending = asyncio.create_task(wire.send(body[: 16 * MIB], body[16 * MIB :]))
            async with asyncio.timeout(10):
                while not store.calls_waiting:  # noqa: ASYNC110 - the double has no event for it
                    await asyncio.sleep(0.01)
            await let_pass(200)
            store.gate.set()
            await sending
            assert (await wire.answer()).status == 204
    finally:
        store.gate = None
    assert await object_of(phone.served, url) == body


async def test_u18_f6_a_report_that_dribbles_is_ended_too(phone: Phone) -> None:
    file = listed(bytes(9000))
    meta = part('name="meta"', orjson.dumps(new_incident(attachments=[file])),
                "Content-Type: application/json")  # fmt: skip
    body = body_of(meta, part(f'name="{file["id"]}"; filename="a.png"', picture_of(9000)))
    told = {"content_type": CONTENT_TYPE, "content_length": str(len(body))}
    door = phone.served
    async with door.wire() as wire:
        login = {"authorization": await door.bearer()}
        await wire.send(head("POST /v1/incidents", **login, **told), body[:1000])
        async with asyncio.timeout(10):
            while not door.district.resources.the(BytesInFlight).used:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)
        for sent in range(1000, 1007):
            await wire.send(body[sent : sent + 1])
            await let_pass(11)
        assert (await wire.answer()).told == (408, "request-timeout")
        assert await wire.closed()


async def test_u18_f6_only_so_many_are_open_on_one_device(phone: Phone) -> None:
    for _ in range(20):
        await phone.created(10)
    answer = await phone.create(10)
    refused(answer, 429, "too-many-uploads")
    assert answer.headers["retry-after"]


async def test_u18_at_once_as_many_as_one_after_the_other(phone: Phone) -> None:
    answers = await asyncio.gather(*(phone.create(10) for _ in range(24)))
    assert sorted(answer.status for answer in answers) == [201] * 20 + [429] * 4


async def test_u18_whole_ended_and_expired_ones_take_no_place(phone: Phone) -> None:
    for _ in range(19):
        await phone.created(10)
    ended = await phone.created(10)
    refused(await phone.create(10), 429, "too-many-uploads")
    assert (await phone.ask("DELETE", ended)).status == 204
    await phone.created(10)
    refused(await phone.create(10), 429, "too-many-uploads")
    phone.served.district.clock.advance(timedelta(days=7, seconds=1))
    again = await Phone.of(phone.served)
    # nobody has swept them yet
    await again.created(10)


async def test_u18_each_device_has_its_own(door: Served, phone: Phone) -> None:
    for _ in range(20):
        await phone.created(10)
    other = await Phone.of(door, "worker-minxin")
    await other.created(10)
