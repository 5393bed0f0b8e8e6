import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator

import pytest

from app.media import errors
from app.media.bodies import digested
from tests.media.wire import stream

TEXT = b'{"text": "\xe6\xa5\xbc\xe9\x81\x93"}'


async def read(body: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in body])


def digest_of(body: bytes) -> str:
    return "sha-256=:" + b64encode(hashlib.sha256(body).digest()).decode() + ":"


@pytest.mark.parametrize(
    "header", ["sha-256=abc", "sha-256=:!!:", "sha-256=:YWJj:", "sha-256", "sha-256=::"]
)
async def test_m9_a_malformed_content_digest_is_refused(header: str) -> None:
    with pytest.raises(errors.DigestMalformed):
        digested(stream(TEXT), header)


async def test_m9_a_content_digest_that_differs_is_refused() -> None:
    with pytest.raises(errors.DigestMismatch) as refused:
        await read(digested(stream(TEXT), digest_of(TEXT + b" ")))
    assert (refused.value.status, refused.value.code) == (400, "digest-mismatch")


@pytest.mark.parametrize(
    "header", [None, "", digest_of(TEXT), "sha-512=:AA==:", "md5=:x:, " + digest_of(TEXT)]
)
async def test_m9_a_content_digest_that_fits(header: str | None) -> None:
    assert await read(digested(stream(TEXT), header)) == TEXT
