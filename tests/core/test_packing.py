import gzip
import hashlib
import tracemalloc

import pytest

from app.core import errors
from app.core.errors import PayloadTooLarge
from app.core.packing import json_body
from app.core.settings import IntakeSettings
from tests.media.wire import LIMITS, stream

TEXT = b'{"text": "\xe6\xa5\xbc\xe9\x81\x93"}'
SMALL = IntakeSettings(json_bytes=2000)


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip"])
async def test_m15_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(errors.ContentEncodingRefused) as refused:
        await json_body(stream(TEXT), encoding, LIMITS)
    assert refused.value.status == 415
    assert "gzip" in refused.value.headers["Accept-Encoding"]


async def test_m15_a_large_body_is_refused_plain_and_unpacked() -> None:
    noise = hashlib.shake_256(b"").hexdigest(2000).encode()
    with pytest.raises(PayloadTooLarge):
        await json_body(stream(noise), None, SMALL)
    with pytest.raises(PayloadTooLarge):
        await json_body(stream(gzip.compress(noise)), "gzip", SMALL)
    with pytest.raises(PayloadTooLarge):
        await json_body(stream(noise), "gzip", SMALL.model_copy(update={"json_bytes": 0}))


async def test_m15_a_bomb_is_refused_without_being_unpacked() -> None:
    bomb = gzip.compress(bytes(100_000_000), 9)
    tracemalloc.start()
    with pytest.raises(PayloadTooLarge):
        await json_body(stream(bomb), "gzip", LIMITS)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10 * LIMITS.json_bytes


async def test_m15_more_than_fifty_to_one_is_refused() -> None:
    with pytest.raises(errors.CompressedTooMuch):
        await json_body(stream(gzip.compress(b" " * 100_000)), "gzip", LIMITS)


PACKED = gzip.compress(TEXT, mtime=0)


@pytest.mark.parametrize("body", [b"", TEXT, PACKED[:-1], PACKED + b"x", PACKED * 2])
async def test_m15_damaged_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(errors.MalformedEncoding):
        await json_body(stream(body), "gzip", LIMITS)


@pytest.mark.parametrize("encoding", [None, "", "identity"])
async def test_m15_plain_json(encoding: str | None) -> None:
    assert await json_body(stream(TEXT), encoding, LIMITS) == TEXT


async def test_m15_gzip_in_any_pieces() -> None:
    packed = gzip.compress(TEXT)
    assert await json_body(stream(packed, range(len(packed))), "GZIP", LIMITS) == TEXT
