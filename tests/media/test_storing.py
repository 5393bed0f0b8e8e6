import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from app.core.clock import FakeClock
from app.core.db import Sessions, make_engine
from app.core.memory_store import MemoryStore
from app.core.object_store import StoreUnavailable
from app.core.resources import Resources
from app.core.settings import DatabaseSettings, IntakeSettings, Settings
from app.core.wakeups import MemoryWakeups
from app.media import errors, storing
from app.media.in_flight import BytesInFlight
from app.media.multipart import parts
from app.media.storing import Expected, FileDiffers, remove
from tests.conftest import NOON
from tests.media.wire import CONTENT_TYPE, LIMITS, body_of, part, stream

MIB = 1024 * 1024
NOISE = hashlib.shake_256(b"noise").digest(12 * MIB)
JPEG = b"\xff\xd8\xff\xe0" + NOISE[:200_000]
MP4 = b"\0\0\0\x18ftypmp42\0\0\2\0mp42mp41" + NOISE

NOWHERE = DatabaseSettings(url=SecretStr("postgresql+psycopg://nobody@127.0.0.1:9/none"))
"""No database is asked here."""


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def pieces(body: bytes, size: int = 65536) -> AsyncIterator[bytes]:
    return stream(body, range(0, len(body), size))


@pytest.fixture
def resources(resources: Resources, settings: Settings, store: MemoryStore) -> Resources:
    """With parts of 5 MiB, so that a video has three."""
    small = settings.model_copy(update={"intake": IntakeSettings(part_bytes=5 * MIB)})
    return Resources(small, resources.sessions, store, resources.wakeups, resources.clock)


async def keep(resources: Resources, body: bytes, expected: Expected | None = None) -> str:
    return (await storing.store(resources, pieces(body), expected)).object_key


def assert_nothing_left(resources: Resources, store: MemoryStore) -> None:
    assert not store.objects
    assert not store.uploads
    assert resources.the(BytesInFlight).used == 0


async def test_m12_content_off_the_list_never_reaches_the_store(
    resources: Resources, store: MemoryStore
) -> None:
    with pytest.raises(errors.MediaTypeRefused):
        await keep(resources, b"<svg/>")
    with pytest.raises(errors.MediaTypeRefused):
        await keep(resources, b"")
    assert store.calls == 0


async def test_m3_a_picture_beyond_its_limit_is_refused(
    resources: Resources, store: MemoryStore
) -> None:
    with pytest.raises(errors.FileTooLarge):
        await keep(resources, b"\xff\xd8\xff" + bytes(25 * MIB))
    assert_nothing_left(resources, store)


@pytest.mark.parametrize("body", [JPEG, MP4], ids=["put", "parts"])
@pytest.mark.parametrize("change", ["shorter", "longer", "other"])
async def test_m9_a_file_that_differs_from_the_manifest_is_not_kept(
    resources: Resources, store: MemoryStore, body: bytes, change: str
) -> None:
    size = len(body) + {"shorter": 1, "longer": -1, "other": 0}[change]
    digest = sha256(body + b"x") if change == "other" else None
    with pytest.raises(FileDiffers):
        await keep(resources, body, Expected(size=size, sha256=digest))
    assert_nothing_left(resources, store)


@pytest.mark.parametrize("body", [JPEG, MP4], ids=["put", "parts"])
async def test_m10_a_store_that_reports_another_size_is_not_believed(
    resources: Resources, store: MemoryStore, body: bytes
) -> None:
    store.size_lie = -1
    with pytest.raises(StoreUnavailable):
        await keep(resources, body)
    assert_nothing_left(resources, store)


@pytest.mark.parametrize("call", range(1, 7))
async def test_f8_a_store_that_refuses_any_call_leaves_nothing_counted(
    resources: Resources, store: MemoryStore, call: int
) -> None:
    """start, part, part, part, complete, size: whichever fails, the upload fails as a whole."""
    calls = 0

    async def fail_once() -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise StoreUnavailable("injected")

    store._call = fail_once  # type: ignore[method-assign]  # noqa: SLF001 - exactly one failure
    with pytest.raises(StoreUnavailable):
        await keep(resources, MP4)
    assert_nothing_left(resources, store)


async def test_f8_a_store_that_is_down_is_told_and_the_rest_is_for_the_sweeper(
    resources: Resources, store: MemoryStore
) -> None:
    store.down = True
    with pytest.raises(StoreUnavailable):
        await keep(resources, MP4)
    assert resources.the(BytesInFlight).used == 0


async def test_m4_a_truncated_file_leaves_no_object(
    resources: Resources, store: MemoryStore
) -> None:
    body = body_of(part('name="v"; filename="v.mp4"', MP4))[:-1000]
    found = await anext(parts(CONTENT_TYPE, pieces(body), LIMITS))
    with pytest.raises(errors.MultipartTruncated):
        await asyncio.wait_for(storing.store(resources, found), 10)
    assert_nothing_left(resources, store)


async def test_f7_a_cancelled_upload_leaves_no_object(
    resources: Resources, store: MemoryStore
) -> None:
    arrived = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield MP4[: 11 * MIB]
        arrived.set()
        await asyncio.Event().wait()

    uploading = asyncio.create_task(storing.store(resources, stalling()))
    await arrived.wait()
    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading
    assert_nothing_left(resources, store)


async def test_f11_the_caller_removes_what_no_row_will_name(
    resources: Resources, store: MemoryStore
) -> None:
    keys = [await keep(resources, JPEG) for _ in range(2)]
    await remove(resources, keys)
    assert not store.objects
    store.down = True
    await remove(resources, keys)


@pytest.mark.parametrize(("body", "kind"), [(JPEG, "photo"), (MP4, "video")], ids=["put", "parts"])
async def test_r3_the_digest_is_that_of_the_bytes_in_the_store(
    resources: Resources, store: MemoryStore, body: bytes, kind: str
) -> None:
    expected = Expected(size=len(body), sha256=sha256(body))
    stored = await storing.store(resources, pieces(body), expected)
    kept = store.objects[stored.object_key]
    assert kept.body == body
    assert kept.content_type == stored.content_type
    assert (stored.size, stored.sha256, stored.kind) == (len(body), sha256(body), kind)
    assert not store.uploads
    assert resources.the(BytesInFlight).used == 0


async def test_m5_keys_are_ascii_dated_and_fresh(resources: Resources) -> None:
    first, second = [await keep(resources, JPEG) for _ in range(2)]
    assert first != second
    assert first.startswith("media/2026/03/")
    assert first.isascii()


@pytest.mark.parametrize("extra", [-1, 0, 1])
async def test_up_to_a_part_one_put_is_enough(
    resources: Resources, store: MemoryStore, extra: int
) -> None:
    body = MP4[: 5 * MIB + extra]
    await keep(resources, body)
    assert store.calls == (2 if extra <= 0 else 5)
    assert next(iter(store.objects.values())).body == body


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, len(JPEG)), max_size=8), tail=st.integers(3, 200))
def test_any_chunking_stores_the_same_bytes(cuts: list[int], tail: int) -> None:
    body = JPEG[:tail] if tail % 2 else JPEG

    async def run() -> None:
        memory = MemoryStore(FakeClock(NOON))
        made = Resources(
            _settings(),
            Sessions(make_engine(NOWHERE)),
            memory,
            MemoryWakeups(),
            FakeClock(NOON),
        )
        stored = await storing.store(made, stream(body, cuts))
        assert memory.objects[stored.object_key].body == body
        assert stored.sha256 == sha256(body)

    asyncio.run(run())


def _settings() -> Settings:
    return Settings(_env_file=None, secret_key=SecretStr("x" * 32))


async def test_memory_is_bounded_by_two_parts_and_their_copies(resources: Resources) -> None:
    class Forgetting(MemoryStore):
        async def put_part(self, key: str, upload_id: str, number: int, body: bytes) -> str:
            return await super().put_part(key, upload_id, number, body[:0])

        async def complete_parts(self, key: str, upload_id: str, etags: Mapping[int, str]) -> None:
            """Nothing was kept."""

        async def size(self, key: str) -> int:  # noqa: ARG002 - the protocol's shape
            return 100 * MIB

    async def large() -> AsyncIterator[bytes]:
        yield MP4[:65536]
        for _ in range(1599):
            yield bytes(65536)

    resources.store = Forgetting()
    tracemalloc.start()
    await storing.store(resources, large())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 5 * MIB


async def test_uploads_beyond_the_cap_are_slowed_and_all_finish(
    resources: Resources, store: MemoryStore
) -> None:
    in_flight = resources.the(BytesInFlight)
    in_flight.capacity, in_flight.patience_s = 6 * MIB, 0.001
    keys = await asyncio.gather(*(keep(resources, MP4) for _ in range(4)))
    assert all(store.objects[key].body == MP4 for key in keys)
    assert in_flight.used == 0


async def test_room_that_is_given_back_lets_the_next_one_in(resources: Resources) -> None:
    in_flight = resources.the(BytesInFlight)
    in_flight.patience_s = 60
    await in_flight.take(in_flight.capacity)
    waiting = asyncio.create_task(in_flight.take(10))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    in_flight.give(10)
    await asyncio.wait_for(waiting, 5)
    assert in_flight.used == in_flight.capacity
