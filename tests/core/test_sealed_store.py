"""Sealed objects: ciphertext in the store, plain bytes for who reads through the door."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.crypto import Keys
from app.core.memory_store import MemoryStore
from app.core.object_store import MIN_PART_BYTES, ObjectMissing
from app.core.sealed_store import CHUNK, SealedStore

KEY, OPEN = "media/sealed/one", "media/one"
BODY = bytes(range(256)) * 1024  # four chunks
EDGES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7, len(BODY))


def sealed_store(part_bytes: int = MIN_PART_BYTES) -> tuple[SealedStore, MemoryStore]:
    memory = MemoryStore()
    return SealedStore(memory, Keys("a root secret"), part_bytes), memory


async def whole(store: SealedStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in store.read(key, start, end)])


@pytest.mark.parametrize("place", [0, CHUNK, CHUNK + 16, 2 * CHUNK + 40])
async def test_an_altered_object_is_not_given_out(place: int) -> None:
    store, memory = sealed_store()
    await store.put(KEY, BODY, "image/jpeg")
    stored = bytearray(memory.objects[KEY].body)
    stored[place] ^= 1
    memory.objects[KEY].body = bytes(stored)
    with pytest.raises(ObjectMissing):
        await whole(store, KEY)


async def test_chunks_in_another_order_are_not_given_out() -> None:
    store, memory = sealed_store()
    await store.put(KEY, BODY, "image/jpeg")
    stored, size = memory.objects[KEY].body, CHUNK + 16
    memory.objects[KEY].body = stored[size : 2 * size] + stored[:size] + stored[2 * size :]
    with pytest.raises(ObjectMissing):
        await whole(store, KEY)


async def test_under_another_key_an_object_opens_nothing() -> None:
    store, memory = sealed_store()
    await store.put(KEY, BODY, "image/jpeg")
    memory.objects["media/sealed/two"] = memory.objects[KEY]
    with pytest.raises(ObjectMissing):
        await whole(store, "media/sealed/two")


async def test_no_bytes_of_it_stand_in_the_store_and_others_stand_as_they_are() -> None:
    store, memory = sealed_store()
    await store.put(KEY, BODY, "image/jpeg")
    await store.put(OPEN, BODY, "image/jpeg")
    assert BODY[:32] not in memory.objects[KEY].body
    assert memory.objects[OPEN].body == BODY
    assert await store.size(KEY) == await store.size(OPEN) == len(BODY)
    assert await whole(store, OPEN, 5, 9) == BODY[5:9]


@given(st.sampled_from(EDGES), st.sampled_from([*EDGES, None]))
async def test_any_range_is_that_of_the_plain_bytes(start: int, end: int | None) -> None:
    store, _ = sealed_store()
    await store.put(KEY, BODY, "image/jpeg")
    wanted = BODY[start:] if end is None else BODY[start : max(start, end)]
    if start < len(BODY) and (end is None or end > start):
        assert await whole(store, KEY, start, end) == wanted


@pytest.mark.parametrize("more", [1, CHUNK, CHUNK + 1])
async def test_parts_are_one_object(more: int) -> None:
    """Also where a part is no multiple of a chunk: then a smaller one is used."""
    store, memory = sealed_store(MIN_PART_BYTES + 100)
    body = bytes(range(251)) * ((MIN_PART_BYTES + more) // 251 + 1)
    upload = await store.start_parts(KEY, "video/mp4")
    parts = {1: body[:MIN_PART_BYTES], 2: body[MIN_PART_BYTES:]}
    etags = {
        number: await store.put_part(KEY, upload, number, part) for number, part in parts.items()
    }
    await store.complete_parts(KEY, upload, etags)
    assert await whole(store, KEY) == body
    assert await store.size(KEY) == len(body)
    edge = MIN_PART_BYTES
    assert await whole(store, KEY, edge - 3, edge + 3) == body[edge - 3 : edge + 3]
    assert body[:32] not in memory.objects[KEY].body
