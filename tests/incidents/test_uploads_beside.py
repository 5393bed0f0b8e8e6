"""U11: whatever two requests on one upload, the store or a digest do, nobody else waits for it."""

import asyncio
import hashlib
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from app.core.object_store import StoreUnavailable
from app.core.s3_store import S3Store
from app.core.settings import MIB, StoreSettings
from app.media import writing
from app.media.writing import Digests
from tests.district import new_incident
from tests.incidents.paths import signed_in
from tests.incidents.uploading import Phone, digest, object_of, picture_of, row_of

OTHERS = 20


async def _others_are_answered(phone: Phone, until: asyncio.Task[Any] | None = None) -> int:
    """Somebody else reads, reports and uploads: how many were answered, before `until` was done."""
    client = await signed_in(phone.served.district, "worker-minxin")
    other = await Phone.of(phone.served, "worker-minxin")
    answered = 0
    for _ in range(OTHERS):
        answers = (
            await client.get("/v1/incidents?limit=1"),
            await client.post("/v1/incidents", json=new_incident()),
        )
        assert [answer.status_code for answer in answers] == [200, 201]
        assert (await other.ask("HEAD", "/v1/uploads/none")).status == 404
        if until is not None and until.done():
            break
        answered += 1
    return answered


async def test_u11_who_waits_for_an_upload_keeps_nobody_else_waiting(phone: Phone) -> None:
    """The first sender is silent and hears nothing; the second goes round it after two seconds."""
    district = phone.served.district
    body = picture_of(300_000)
    url = await phone.created(len(body), sha256=digest(body))
    district.wakeups.dropping = True
    try:
        async with phone.sending(url, 0, len(body), body[:100_000]):
            async with asyncio.timeout(10):
                while not (await row_of(phone.served, url)).held:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
            second = asyncio.create_task(phone.patch(url, 0, body))
            answered = await _others_are_answered(phone, second)
            assert (await second).status == 204
    finally:
        district.wakeups.dropping = False
    assert answered >= 3
    assert await object_of(phone.served, url) == body


async def test_u11_while_the_store_does_not_answer_two_patches_hold_nobody_up(phone: Phone) -> None:
    """One has a part under way, one waits for it; others are served, and the pool is free."""
    district = phone.served.district
    body = picture_of(17 * MIB)
    url = await phone.created(len(body), sha256=digest(body))
    district.store.gate = asyncio.Event()
    try:
        async with phone.sending(url, 0, len(body)) as wire:
            first = asyncio.create_task(wire.send(body))
            async with asyncio.timeout(10):
                while not district.store.calls_waiting:  # noqa: ASYNC110 - the double has no event
                    await asyncio.sleep(0.01)
            second = asyncio.create_task(phone.patch(url, 0, body))
            assert await _others_are_answered(phone) == OTHERS
            assert district.resources.sessions.engine.pool.checkedout() <= 1  # type: ignore[attr-defined]
            district.store.gate.set()
            await asyncio.gather(first, second, return_exceptions=True)
    finally:
        district.store.gate = None
    offset = await phone.offset(url)
    if offset < len(body):
        assert (await phone.patch(url, offset, body[offset:])).status == 204
    assert await object_of(phone.served, url) == body


class _Noting:
    """A digest that notes in which thread it was given how much."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.given: list[tuple[int, int]] = []

    def update(self, chunk: bytes) -> None:
        self.given.append((threading.get_ident(), len(chunk)))
        self._digest.update(chunk)

    def digest(self) -> bytes:
        return self._digest.digest()


async def test_u11_nothing_large_is_hashed_on_the_loop(phone: Phone) -> None:
    body = picture_of(11 * MIB)
    url = await phone.created(len(body), sha256=digest(body))
    noting = _Noting()
    phone.served.district.resources.the(Digests).keep(url.rsplit("/", 1)[1], 0, noting)
    first = body[: 7 * MIB]
    told = {"Upload-Checksum": f"sha256 {b64encode(hashlib.sha256(first).digest()).decode()}"}
    assert (await phone.patch(url, 0, first, **told)).status == 204
    assert (await phone.patch(url, len(first), body[len(first) :])).status == 204
    assert sum(size for _, size in noting.given) == len(body)
    here = threading.get_ident()
    largest = max(size for thread, size in noting.given if thread == here)
    assert largest <= writing.ON_THE_LOOP
    assert any(thread != here for thread, _ in noting.given)


# --- the door to the store itself ----------------------------------------------------------------

_CALLS: dict[str, Callable[[S3Store], Coroutine[Any, Any, object]]] = {
    "put": lambda store: store.put("k", b"x" * MIB, "image/png"),
    "start_parts": lambda store: store.start_parts("k", "image/png"),
    "put_part": lambda store: store.put_part("k", "u", 1, b"x" * MIB),
    "complete_parts": lambda store: store.complete_parts("k", "u", {1: '"e"'}),
    "abort_parts": lambda store: store.abort_parts("k", "u"),
    "size": lambda store: store.size("k"),
    "read": lambda store: anext(store.read("k")),
    "delete": lambda store: store.delete(["k"]),
}


@asynccontextmanager
async def _silent_store() -> AsyncIterator[S3Store]:
    """It takes connections and requests, and says nothing."""
    links: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, link: links.append(link), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = S3Store(
        StoreSettings(
            endpoint_url=f"http://127.0.0.1:{port}",
            access_key=SecretStr("a"),
            secret_key=SecretStr("b"),
            deadline_s=1.0,
        )
    )
    try:
        yield store
    finally:
        await store.close()
        for link in links:
            link.close()
        server.close()


@pytest.mark.parametrize("call", _CALLS)
async def test_u11_no_call_to_a_silent_store_stops_the_loop(call: str) -> None:
    async with _silent_store() as store:
        asking = asyncio.create_task(_CALLS[call](store))
        turns = 0
        while not asking.done():
            await asyncio.sleep(0.01)
            turns += 1
        with pytest.raises(StoreUnavailable):
            await asking
    # a loop that waits for the store turns once
    assert turns >= 10
